"""``/v1/responses``: asked for, followed, taken up again, found later, cancelled and deleted."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import parse_qs

from django.conf import settings

from accounts.caller import Caller
from api.exchange import STREAM_HEAD, STREAM_TYPE, ApiHandler, Sending
from api.responses import store
from api.responses.request import Asked, parse, understand
from api.responses.store import Stored
from api.responses.writer import ResponseWriter, renamed
from core.errors import SERVER_ERROR, Failure, failure_of
from inference.chunks import NOTHING, Chunk
from inference.errors import InvalidRequest
from inference.runs.idempotency import LOOK_AGAIN_SECONDS, ReplayedRun
from inference.runs.idempotency_keys import Claim
from inference.runs.prompt_count import count_prompt
from inference.runs.run import Receipt, Run
from inference.runs.spine import LiveRun
from inference.runtime import Runtime
from web.errors import Problem, describe, error_body
from web.exchange import AsgiExchange

# How often a response in the background looks whether it is still wanted.
LOOK_SECONDS: Final = 1.0
# What Codex looks for in the stream, and not in a status.
_TOLD_IN_STREAM: Final = ("context_length_exceeded", "insufficient_quota")
# What became of a response whose process was killed.
_LOST: Final = Failure(SERVER_ERROR.code, "The server was shut down before the response was whole")


class ResponsesHandler(ApiHandler):
    """Errors under the codes that clients of the Responses API know."""

    exchange: AsgiExchange

    def write_problem(self, problem: Problem) -> tuple[int, bytes]:
        """Return the status and the body that tell a problem."""
        return problem.status, error_body(renamed(problem))

    @property
    def name(self) -> str:
        """The response that the address names."""
        return str(self.exchange.scope["url_route"]["kwargs"]["name"])


class Responses(ResponsesHandler):
    """``POST /v1/responses``."""

    async def answer_caller(self, caller: Caller, body: bytes) -> None:
        """Parse, start, and send what comes."""
        asked, ancestors = await _understood(caller, body)
        run = await self._start(caller, asked, ancestors)
        self._run, self._asked = run, asked
        self._writer = writer = ResponseWriter(run.id, run.receipt.created, asked)
        if asked.request.background:
            if isinstance(run, LiveRun):
                Background(run)
            if not asked.chat.stream:
                self.tell(200, writer.so_far([]))
                return
        self.send(run, asked, writer)

    def refuse(self, error: Exception) -> None:
        """Tell why there is no answer, and keep it if the response is kept."""
        self.exchange.run(self._refuse(error))

    async def _refuse(self, error: Exception) -> None:
        exchange, problem = self.exchange, describe(error)
        if self._asked.is_stored:
            await _note(self._run, error)
        if problem.code not in _TOLD_IN_STREAM or not (self._asked.chat.stream and self._is_codex):
            exchange.fail(error)
            return
        exchange.line.error = problem.code
        exchange.begin(200, STREAM_TYPE, STREAM_HEAD)
        exchange.finish(self._writer.opening() + self._writer.failure(problem, None))

    async def _start(self, caller: Caller, asked: Asked, ancestors: list[str]) -> Run:
        """Start the run; its request is kept before anything of its answer is."""
        claim, request_id = self.claim(caller, asked.chat), self.exchange.request_id
        if not asked.is_stored:
            return await self.run(caller, asked.chat, claim)
        if claim is None:
            claim = Claim.of(caller, f"response {request_id}", self.exchange.path, asked.chat, request_id)
        claim.keep_seconds = settings.RESPONSE_KEEP_SECONDS
        await store.keep(caller, request_id, claim.id, asked.request, ancestors)
        run = None
        try:
            run = await self.run(caller, asked.chat, claim)
        finally:
            if run is None or run.id != request_id:
                await store.drop(request_id)
        return run

    @property
    def _is_codex(self) -> bool:
        return self.exchange.headers.get(b"originator", "").lower().startswith("codex")


class OneResponse(ResponsesHandler):
    """``GET`` and ``DELETE /v1/responses/{id}``."""

    methods = ("GET", "DELETE")

    async def answer_caller(self, caller: Caller, body: bytes) -> None:
        """Tell what there is of it, or what comes; or delete it."""
        stored = await store.find(caller, self.name)
        query = parse_qs(self.exchange.scope["query_string"].decode("latin-1"))
        if self.exchange.method == "DELETE":
            await store.forget(stored)
            self.tell(200, {"id": f"resp_{stored.run_id}", "object": "response.deleted", "deleted": True})
        elif query.get("stream") == ["true"]:
            await self._take_up(caller, stored, _number(query.get("starting_after", ["-1"])[0]))
        else:
            self.tell(200, response_of(self.exchange.runtime, stored))

    async def _take_up(self, caller: Caller, stored: Stored, after: int) -> None:
        """Send the events behind one of them, and those that are still to come."""
        exchange = self.exchange
        run = await _followed(exchange.runtime, caller, stored)
        created = run.receipt.created if run else stored.created
        writer = ResponseWriter(stored.run_id, created, stored.asked(), after=after)
        if run is None:
            failure = stored.failure or _LOST
            exchange.begin(200, STREAM_TYPE, STREAM_HEAD)
            exchange.finish(writer.opening() + writer.failure(Problem.of(failure), None))
        else:
            Sending(self, run, writer, writer, head={}, model=stored.request.model).begin()


class Cancellation(ResponsesHandler):
    """``POST /v1/responses/{id}/cancel``."""

    async def answer_caller(self, caller: Caller, body: bytes) -> None:
        """End it, wherever it is under way; what was said by then stays."""
        stored = await store.find(caller, self.name)
        if not stored.request.background:
            raise InvalidRequest("Only a response in the background can be cancelled.", param="id")
        if stored.kept is None:
            await store.cancel(stored)
        runtime = self.exchange.runtime
        if run := runtime.runs.claiming(stored.claim):
            run.stop()
            await run.ended()
        self.tell(200, response_of(runtime, await store.find(caller, self.name)))


class InputItems(ResponsesHandler):
    """``GET /v1/responses/{id}/input_items``."""

    methods = ("GET",)

    async def answer_caller(self, caller: Caller, body: bytes) -> None:
        """List what was sent, each item with an id."""
        stored = await store.find(caller, self.name)
        items = [
            {"id": f"in_{stored.run_id}_{place}", "type": "message", **_in_parts(item)}
            for place, item in enumerate(stored.input())
        ]
        ids = [item["id"] for item in items] or [None]
        ends = {"first_id": ids[0], "last_id": ids[-1]}
        self.tell(200, {"object": "list", "data": items, "has_more": False, **ends})


class InputTokens(ResponsesHandler):
    """``POST /v1/responses/input_tokens``."""

    async def answer_caller(self, caller: Caller, body: bytes) -> None:
        """Count the tokens of a prompt, as far as one can tell."""
        asked, _ = await _understood(caller, body)
        counted = await count_prompt(self.exchange.runtime, caller, asked.chat)
        self.tell(200, {"object": "response.input_tokens", "input_tokens": counted})


def _in_parts(item: dict[str, Any]) -> dict[str, Any]:
    """Return an item whose text is a part, as clients expect it of those that are listed."""
    content = item.get("content")
    if not isinstance(content, str):
        return item
    kind = "output_text" if item.get("role") == "assistant" else "input_text"
    return item | {"content": [{"type": kind, "text": content}]}


async def _understood(caller: Caller, body: bytes) -> tuple[Asked, list[str]]:
    """Return what is asked for, behind the responses that it goes on from, whose runs are told too."""
    request = await store.resolved(caller, parse(body))
    earlier = await store.before(caller, request)
    items = [item for stored in earlier for item in (*stored.input(), *stored.output())]
    return understand(request, items), [stored.run_id for stored in earlier]


def response_of(runtime: Runtime, stored: Stored) -> dict[str, Any]:
    """Return a stored response as it is now."""
    run = runtime.runs.claiming(stored.claim)
    writer = ResponseWriter(stored.run_id, run.receipt.created if run else stored.created, stored.asked())
    writer.is_stopped = stored.is_cancelled
    if stored.kept:
        writer.set_model(stored.kept.model_id or stored.request.model)
        return writer.response(stored.kept.chunks, stored.kept.usage, stored.kept.problem)
    if stored.failure or not stored.is_claimed:
        return writer.response([], NOTHING, None if stored.is_cancelled else stored.failure or _LOST)
    if run:
        writer.set_model(run.receipt.model_id)
    return writer.so_far(run.buffer.chunks if run else [])


async def _followed(runtime: Runtime, caller: Caller, stored: Stored) -> Run | None:
    """Return the run of a stored response, or its kept answer; None where nothing is left of it.

    While another process has the run, waits for its end.
    """
    loop = runtime.loop
    while True:
        if run := runtime.runs.claiming(stored.claim):
            return run
        if stored.kept:
            return ReplayedRun(runtime, stored.run_id, stored.kept, caller)
        if not stored.is_claimed:
            return None
        await asyncio.sleep(LOOK_AGAIN_SECONDS - loop.time() % LOOK_AGAIN_SECONDS)
        stored = await store.find(caller, f"resp_{stored.run_id}")


class Background:
    """Subscribes to a run so that it goes on without anybody who reads it, until it is cancelled."""

    def __init__(self, run: LiveRun) -> None:
        self._run = run
        self._looking = run.loop.create_task(self._look())
        self._subscription = run.subscribe(self, whole=True)
        self._subscription.resume()

    def chunks_came(self, first: int, chunks: Sequence[Chunk]) -> None:
        """Nobody reads them here."""

    def run_ended(self, error: Exception | None) -> None:
        """Keep why there is no answer, if there is none."""
        self._looking.cancel()
        if error:
            self._looking = self._run.loop.create_task(_note(self._run, error))

    def run_settled(self, receipt: Receipt) -> None:
        """Let go of it."""
        self._subscription.leave()

    async def _look(self) -> None:
        """Look again and again whether it is cancelled, in whichever process."""
        while not await store.is_cancelled(self._run.id):  # noqa: ASYNC110 - it may be cancelled in another process
            await asyncio.sleep(LOOK_SECONDS)
        self._run.stop()


async def _note(run: Run, error: Exception) -> None:
    """Keep why there is no answer."""
    failure = failure_of(error)
    if failure:
        await store.note_failure(run.id, failure)


def _number(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = None
    if number is None or not text.isascii() or len(text) > 12:
        raise InvalidRequest("starting_after is the number of an event.", param="starting_after")
    return number
