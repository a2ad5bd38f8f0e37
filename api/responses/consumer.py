"""``/v1/responses``: asked for, followed, taken up again, found later, cancelled and deleted."""

import asyncio
from typing import Any, Final
from urllib.parse import parse_qs

from django.conf import settings

from accounts.caller import Caller
from api.exchange import STREAM_HEAD, STREAM_TYPE, AnyRun, ApiExchange
from api.responses import store
from api.responses.request import Asked, parse, understand
from api.responses.store import Stored
from api.responses.writer import ResponseWriter, renamed
from core.errors import SERVER_ERROR, DomainError, Failure, failure_of
from inference.chunks import NOTHING
from inference.errors import InvalidRequest
from inference.models import Run
from inference.runs import registry
from inference.runs.idempotency import LOOK_AGAIN_SECONDS, Replay
from inference.runs.idempotency_keys import Claim
from inference.runs.prompt_count import count_prompt
from inference.runs.spine import Completion
from web.errors import Problem, describe, error_body

# How often a response in the background looks whether it is still wanted.
LOOK_SECONDS: Final = 1.0
# What Codex looks for in the stream, and not in a status.
_TOLD_IN_STREAM: Final = ("context_length_exceeded", "insufficient_quota")
# What became of a response whose process was killed.
_LOST: Final = Failure(SERVER_ERROR.code, "The server was shut down before the response was whole")


class ResponsesExchange(ApiExchange):
    """Errors under the codes that clients of the Responses API know."""

    async def fail(self, error: Exception) -> None:
        """Answer with an error."""
        problem = describe(error)
        self.line.error = problem.code
        await self.respond(problem.status, error_body(renamed(problem)), problem.headers)


class Responses(ResponsesExchange):
    """``POST /v1/responses``."""

    async def answer_caller(self, caller: Caller, body: bytes) -> None:
        """Parse, start, and send what comes."""
        asked, ancestors = await _understood(caller, body)
        run = await self._start(caller, asked, ancestors)
        self.line.answered_by(run)
        writer = ResponseWriter(run.id, run.receipt.created, asked)
        if asked.request.background:
            _keep_alive(run)
            if not asked.chat.stream:
                await self.tell(200, writer.so_far([]))
                return
        try:
            async with run.subscribe() as reader:
                await run.begun()
                await self.send(run, asked, writer, reader)
        except DomainError as error:
            if self.started:
                raise
            if asked.is_stored:
                await _note(run, error)
            problem = describe(error)
            if problem.code not in _TOLD_IN_STREAM or not (asked.chat.stream and self._is_codex):
                raise
            self.line.error = problem.code
            await self.begin(200, STREAM_TYPE, STREAM_HEAD)
            await self.write(writer.opening() + writer.failure(problem, None), more=False)

    async def _start(self, caller: Caller, asked: Asked, ancestors: list[str]) -> AnyRun:
        """Start the run; its request is kept before anything of its answer is."""
        claim = self.claim(caller, asked.chat)
        if not asked.is_stored:
            return await self.run(caller, asked.chat, claim)
        if claim is None:
            claim = Claim.of(caller, f"response {self.request_id}", self.scope["path"], asked.chat, self.request_id)
        claim.keep_seconds = settings.RESPONSE_KEEP_SECONDS
        await store.keep(caller, self.request_id, claim.id, asked.request, ancestors)
        run = None
        try:
            run = await self.run(caller, asked.chat, claim)
        finally:
            if run is None or run.id != self.request_id:
                await store.drop(self.request_id)
        return run

    @property
    def _is_codex(self) -> bool:
        return self.headers.get(b"originator", "").lower().startswith("codex")


class OneResponse(ResponsesExchange):
    """``GET`` and ``DELETE /v1/responses/{id}``."""

    methods = ("GET", "DELETE")

    async def answer_caller(self, caller: Caller, body: bytes) -> None:
        """Tell what there is of it, or what comes; or delete it."""
        stored = await store.find(caller, self.argument("name"))
        query = parse_qs(self.scope["query_string"].decode("latin-1"))
        if self.scope["method"] == "DELETE":
            await store.forget(stored)
            await self.tell(200, {"id": f"resp_{stored.run_id}", "object": "response.deleted", "deleted": True})
        elif query.get("stream") == ["true"]:
            await self._take_up(caller, stored, _number(query.get("starting_after", ["-1"])[0]))
        else:
            await self.tell(200, response_of(stored))

    async def _take_up(self, caller: Caller, stored: Stored, after: int) -> None:
        """Send the events behind one of them, and those that are still to come."""
        writer = ResponseWriter(stored.run_id, stored.created, stored.asked(), after=after)
        run = await _followed(caller, stored)
        if run is None:
            failure = stored.failure or _LOST
            await self.begin(200, STREAM_TYPE, STREAM_HEAD)
            await self.write(writer.opening() + writer.failure(Problem.of(failure), None), more=False)
            return
        async with run.subscribe() as reader:
            await run.begun()
            await self.begin(200, STREAM_TYPE, STREAM_HEAD)
            await self.follow(run, writer, reader)


class Cancellation(ResponsesExchange):
    """``POST /v1/responses/{id}/cancel``."""

    async def answer_caller(self, caller: Caller, body: bytes) -> None:
        """End it, wherever it is under way; what was said by then stays."""
        stored = await store.find(caller, self.argument("name"))
        if not stored.request.background:
            raise InvalidRequest("Only a response in the background can be cancelled.", param="id")
        if stored.kept is None:
            await store.cancel(stored)
        if run := registry.claiming(stored.claim):
            run.stop(Run.Ending.STOPPED)
            await run.ended()
        await self.tell(200, response_of(await store.find(caller, self.argument("name"))))


class InputItems(ResponsesExchange):
    """``GET /v1/responses/{id}/input_items``."""

    methods = ("GET",)

    async def answer_caller(self, caller: Caller, body: bytes) -> None:
        """List what was sent, each item with an id."""
        stored = await store.find(caller, self.argument("name"))
        items = [
            {"id": f"in_{stored.run_id}_{place}", "type": "message", **_in_parts(item)}
            for place, item in enumerate(stored.input())
        ]
        ids = [item["id"] for item in items] or [None]
        ends = {"first_id": ids[0], "last_id": ids[-1]}
        await self.tell(200, {"object": "list", "data": items, "has_more": False, **ends})


class InputTokens(ResponsesExchange):
    """``POST /v1/responses/input_tokens``."""

    async def answer_caller(self, caller: Caller, body: bytes) -> None:
        """Count the tokens of a prompt, as far as one can tell."""
        asked, _ = await _understood(caller, body)
        counted = await count_prompt(caller, asked.chat)
        await self.tell(200, {"object": "response.input_tokens", "input_tokens": counted})


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


def response_of(stored: Stored) -> dict[str, Any]:
    """Return a stored response as it is now."""
    writer = ResponseWriter(stored.run_id, stored.created, stored.asked())
    writer.is_stopped = stored.is_cancelled
    if stored.kept:
        return writer.response(stored.kept.chunks, stored.kept.usage, stored.kept.problem)
    if stored.failure or not stored.is_claimed:
        return writer.response([], NOTHING, None if stored.is_cancelled else stored.failure or _LOST)
    run = registry.claiming(stored.claim)
    return writer.so_far(run.answer.chunks if run else [])


async def _followed(caller: Caller, stored: Stored) -> AnyRun | None:
    """Return the run of a stored response, or its kept answer; None where nothing is left of it.

    While another process has the run, waits for its end.
    """
    loop = asyncio.get_running_loop()
    while True:
        run = registry.claiming(stored.claim)
        if run and run.loop is loop:
            return run
        if stored.kept:
            return Replay(stored.run_id, stored.kept, caller)
        if not stored.is_claimed:
            return None
        await asyncio.sleep(LOOK_AGAIN_SECONDS - loop.time() % LOOK_AGAIN_SECONDS)
        stored = await store.find(caller, f"resp_{stored.run_id}")


_living: set[asyncio.Task[None]] = set()


def _keep_alive(run: AnyRun) -> None:
    """Have a run in the background go on without anybody who reads it, until it is cancelled."""
    if isinstance(run, Completion):
        task = run.loop.create_task(_wait_for(run))
        _living.add(task)
        task.add_done_callback(_living.discard)


async def _wait_for(run: Completion) -> None:
    try:
        async with run.subscribe() as reader:
            reading = asyncio.ensure_future(reader.whole())
            while not (await asyncio.wait([reading], timeout=LOOK_SECONDS))[0]:
                if await store.is_cancelled(run.id):
                    run.stop(Run.Ending.STOPPED)
            run.answer.deliver(len(await reading))
    except DomainError as error:
        await _note(run, error)


async def _note(run: AnyRun, error: DomainError) -> None:
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
