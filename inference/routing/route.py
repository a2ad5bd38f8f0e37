"""From a request to a replica that answers it: the line, the choice, and another try until the first token."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

from inference import metrics
from inference.catalogue import ModelSnapshot
from inference.chunks import Chunk
from inference.engines import engine_for
from inference.errors import EngineError, EngineFailed, EngineRefused
from inference.routing.affinity import affinity_of
from inference.routing.line import Line, Ticket, line_for
from inference.routing.replicas import Replica, choose, replica_of

if TYPE_CHECKING:
    from inference.completion import Completion
    from inference.engines.base import Engine

# A request that breaks whoever answers it must not reach them all.
MAX_ATTEMPTS: Final = 3
# What an engine sends before its first output is kept back until then, but no more of it than this many chunks.
MAX_KEPT_BACK: Final = 16


class Beginning(NamedTuple):
    """What a replica sent up to its first output, and the rest as it comes."""

    chunks: list[Chunk]
    rest: AsyncGenerator[list[Chunk], None]


class Route:
    """One request's way to its answer."""

    def __init__(self, run: "Completion", model: ModelSnapshot) -> None:
        self._run = run
        self._model = model
        affinity = affinity_of(run.caller.project_id, run.chat) if len(model.endpoints) > 1 else 0
        self.ticket = Ticket(run.caller.project_id, affinity)
        # Who answers, once one does.
        self.replica: Replica

    def nearest(self) -> "Engine":
        """Return the engine of the replica that would most likely answer, for questions that come before."""
        replicas = [replica_of(endpoint) for endpoint in self._model.endpoints]
        replica = choose(replicas, self.ticket.affinity) or replicas[0]
        return engine_for(replica.endpoint)

    @asynccontextmanager
    async def answer(self, limit: int | None) -> AsyncIterator[Beginning]:
        """Ask one replica after the other until one begins to answer; leaving closes the connection to it.

        After the first output nobody else is asked: the caller has it. Raises what the last replica failed with.
        """
        line = line_for(self._model)
        is_over = False
        while not is_over:
            replica = await self._enter(line)
            try:
                async with aclosing(self._engine_of(replica).stream(self._run.chat, limit)) as stream:
                    try:
                        beginning = await _begin(stream)
                    except EngineError as error:
                        self._let_down(replica, error)
                        if not self._may_ask_another(error):
                            raise
                        continue
                    is_over = True
                    replica.circuit.succeed()
                    try:
                        yield Beginning(beginning, stream)
                    except EngineError as error:
                        self._let_down(replica, error)
                        raise
            finally:
                line.leave(replica, self.ticket)
                self._run.meter.left()

    async def _enter(self, line: Line) -> Replica:
        run = self._run
        run.meter.queued()
        replica = self.replica = await line.enter(self._model, self.ticket)
        run.meter.admitted()
        run.receipt.endpoint_id = replica.endpoint.id
        return replica

    def _engine_of(self, replica: Replica) -> "Engine":
        engine = engine_for(replica.endpoint)
        if engine is not self._run.engine:
            # Another server of the same model may speak another dialect, and refuse what the first one can do.
            engine.check(self._run.chat)
            self._run.engine = engine
        return engine

    def _let_down(self, replica: Replica, error: EngineError) -> None:
        replica.fail(error)
        self.ticket.failed.add(replica)
        metrics.upstream_failed(replica.endpoint.id, error)

    def _may_ask_another(self, error: EngineError) -> bool:
        failures = len(self.ticket.failed)
        return not isinstance(error, EngineRefused) and failures < min(MAX_ATTEMPTS, len(self._model.endpoints))


async def _begin(stream: AsyncGenerator[list[Chunk], None]) -> list[Chunk]:
    """Read up to the first output."""
    kept: list[Chunk] = []
    async for chunks in stream:
        kept += chunks
        if len(kept) > MAX_KEPT_BACK or any(chunk.has_output or chunk.finish_reason for chunk in chunks):
            return kept
    raise EngineFailed
