"""From a request to a replica that answers it: the line, the choice, and another try until the first token."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Final, NamedTuple

from inference import metrics
from inference.catalog import snapshots
from inference.catalog.snapshots import ModelSnapshot
from inference.chat import Chat
from inference.chunks import Chunk
from inference.engines import engine_for
from inference.engines.base import Engine
from inference.engines.streaming import stream
from inference.errors import EngineError, EngineFailed, EngineOverloaded, EngineRefused, UnsupportedParameter
from inference.metrics import Meter
from inference.routing.affinity import affinity_of
from inference.routing.queue import Line, Ticket, line_for
from inference.routing.replicas import Replica, choose, replica_of
from inference.runs.receipt import Receipt
from inference.transport import client

# A request that breaks whoever answers it must not reach them all; one that finds them full breaks nobody.
MAX_ATTEMPTS: Final = 3
# What an engine sends before its first output is kept back until then, but no more of it than this many chunks.
MAX_KEPT_BACK: Final = 16


class Beginning(NamedTuple):
    """What a replica sent up to its first output, and the rest as it comes."""

    chunks: list[Chunk]
    rest: AsyncGenerator[list[Chunk], None]


class Route:
    """One request's way to its answer."""

    def __init__(self, model: ModelSnapshot, chat: Chat, receipt: Receipt, meter: Meter) -> None:
        self.model = model
        self.chat = chat
        self._receipt = receipt
        self._meter = meter
        project_id = receipt.caller.project_id
        self.ticket = Ticket(project_id, affinity_of(project_id, chat) if len(model.endpoints) > 1 else 0)
        if len({endpoint.kind for endpoint in model.endpoints}) > 1:
            self.ticket.failed |= self._unable()
        # How many replicas it may have broken.
        self._failures = 0
        # Who answers, once one does.
        self.replica: Replica
        # Until then, that of the replica that would most likely answer, for questions that come before.
        self.engine = self._nearest()

    def _nearest(self) -> Engine:
        replicas = [replica_of(endpoint) for endpoint in self.model.endpoints]
        replica = choose(replicas, self.ticket.affinity, self.ticket.failed) or replicas[0]
        return engine_for(replica.endpoint, client.shared())

    def engines(self) -> list[Engine]:
        """Return whom to ask before anyone answers: the nearest, then those that may be asked where it fails."""
        working = [replica_of(endpoint) for endpoint in self.model.endpoints]
        working = [each for each in working if each not in self.ticket.failed and each.circuit.lets_through]
        others = [
            engine
            for engine in (engine_for(each.endpoint, client.shared()) for each in working)
            if engine is not self.engine
        ]
        return [self.engine, *others][:MAX_ATTEMPTS]

    @asynccontextmanager
    async def answer(self, limit: int | None) -> AsyncIterator[Beginning]:
        """Ask one replica after the other until one begins to answer; leaving closes the connection to it.

        After the first output nobody else is asked: the caller has it. Raises what the last replica failed with.
        """
        line = line_for(self.model)
        is_over = False
        while not is_over:
            replica = await self._enter(line)
            try:
                async with aclosing(stream(self._engine_of(replica), client.shared(), self.chat, limit)) as answer:
                    try:
                        beginning = await _begin(answer)
                    except EngineError as error:
                        self._let_down(replica, error)
                        if not self._may_ask_another(line, error):
                            raise
                        continue
                    is_over = True
                    replica.circuit.begin()
                    try:
                        yield Beginning(beginning, answer)
                    except EngineError as error:
                        self._let_down(replica, error, has_begun=True)
                        raise
                    replica.circuit.succeed()
            finally:
                line.leave(replica, self.ticket)
                self._meter.left()

    def _unable(self) -> set[Replica]:
        """Return the replicas that cannot do what is asked, unless none can: then whoever is nearest says so."""
        unable = set()
        for endpoint in self.model.endpoints:
            try:
                engine_for(endpoint, client.shared()).check(self.chat)
            except UnsupportedParameter:
                unable.add(replica_of(endpoint))
        return unable if len(unable) < len(self.model.endpoints) else set()

    async def _enter(self, line: Line) -> Replica:
        self._meter.queued()
        # The wait for credits, or for one that failed in the end, was long enough for the endpoints to change.
        replica = self.replica = await line.enter(snapshots.newest(self.model), self.ticket)
        self._meter.admitted()
        self._receipt.endpoint_id = replica.endpoint.id
        return replica

    def _engine_of(self, replica: Replica) -> Engine:
        engine = engine_for(replica.endpoint, client.shared())
        if engine is not self.engine:
            # One that came since may speak another dialect, and refuse what the others can do.
            engine.check(self.chat)
            self.engine = engine
        return engine

    def _let_down(self, replica: Replica, error: EngineError, *, has_begun: bool = False) -> None:
        replica.fail(error, has_begun=has_begun)
        self.ticket.failed.add(replica)
        self._failures += not isinstance(error, EngineOverloaded)
        metrics.upstream_failed(replica.endpoint.id, error)

    def _may_ask_another(self, line: Line, error: EngineError) -> bool:
        is_final = isinstance(error, EngineRefused) or self._failures >= MAX_ATTEMPTS
        return not (is_final or line.has_failed(self.ticket))


async def _begin(answer: AsyncGenerator[list[Chunk], None]) -> list[Chunk]:
    """Read up to the first output."""
    kept: list[Chunk] = []
    async for chunks in answer:
        kept += chunks
        if len(kept) > MAX_KEPT_BACK or any(chunk.has_output or chunk.finish_reason for chunk in chunks):
            return kept
    raise EngineFailed
