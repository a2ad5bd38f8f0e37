"""The playground's socket: it hears what a person wants, starts it, and relays what comes of it.

Runs are not the socket's: each has a task here that relays it, and goes on elsewhere when the socket is gone.
"""

import asyncio
from contextlib import suppress
from typing import Any, NamedTuple

from channels.db import database_sync_to_async

from accounts.models import User
from inference import request_log
from inference.chunks import Chunk
from inference.completion import Completion
from playground import access, balances, conversations, keeper
from playground.access import Standing
from playground.errors import DOMAIN_ERRORS, PlaygroundError, SignedOut, TooMuch, describe, status
from playground.forms import Attach, Frame, Regenerate, Send, Stop, Watch, read, read_frame
from playground.keeper import Kept
from playground.limits import MAX_FRAME_CHARACTERS, MAX_RUNS_PER_SOCKET
from playground.models import Message
from playground.origins import is_same_origin
from playground.presence import present
from playground.sockets import SOCKET_PATH, Socket
from playground.wire import message_json

CLOSED_BY_REVOCATION, CLOSED_BY_SIZE, CLOSED_BY_KIND = 4403, 1009, 1003
# How often a waiting run's place in the queue is looked at, in seconds.
QUEUE_LOOK_SECONDS = 0.25


class Relay(NamedTuple):
    """A run that is being relayed to this socket, and the project that it spends in."""

    task: "asyncio.Task[None]"
    project: str


class PlaygroundConsumer(Socket):
    """One browser tab."""

    user: User

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Live until the socket closes."""
        self._relays: dict[str, Relay] = {}
        self._watched: tuple[str, Standing] | None = None
        self._access_changed = asyncio.Event()
        self._balance_changed = asyncio.Event()
        await super().__call__(scope, receive, send)

    async def connect(self) -> None:
        """Accept a signed-in person's own page, and nobody else."""
        try:
            if not is_same_origin(self.scope):
                raise SignedOut
            self.user = await access.signed_in(self.scope)
            self.until_closed.enter_context(present(self.user.pk, self._access_changed.set))
            self._follower = self.until_closed.enter_context(balances.following(self._balance_changed.set))
        except PlaygroundError:
            await self.close()
            return
        await self.accept()
        self.begin(self._watch_access())
        self.begin(self._watch_balance())

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Do what one frame asks for, if its sender may still ask; what is wrong with it is answered, too."""
        if text_data is None:
            await self.close(CLOSED_BY_KIND)
        elif len(text_data) > MAX_FRAME_CHARACTERS:
            await self.close(CLOSED_BY_SIZE)
        else:
            frame: Frame | None = None
            try:
                self.user = await access.signed_in(self.scope)
                frame = read(read_frame, text_data)
                await self._do(frame)
            except SignedOut:
                await self._revoke()
            except DOMAIN_ERRORS as error:
                await self._tell_refusal(error, frame)

    async def _do(self, frame: Frame) -> None:
        match frame:
            case Send() | Regenerate():
                await self._ask(frame)
            case Stop(run):
                await self._stop(run)
            case Attach(run, after):
                await self._attach(run, after)
            case Watch(project):
                await self._watch(project)

    async def _ask(self, form: Send | Regenerate) -> None:
        if len(self._relays) >= MAX_RUNS_PER_SOCKET:
            raise TooMuch(f"{MAX_RUNS_PER_SOCKET} answers at once are relayed at most. Wait for one to end.")
        kept = await keeper.ask(self.user, form)
        turn = kept.turn
        started = {
            "type": "started",
            "ref": form.ref,
            "conversation": str(turn.conversation.pk),
            "run": kept.completion.id,
            "request_id": f"req_{kept.completion.id}",
            "user": message_json(turn.question) if turn.question else None,
            "message": message_json(turn.answer),
        }
        await self.tell(started)
        self._follow(kept, 0, form.ref)

    async def _stop(self, run: str) -> None:
        kept, _ = await self._find(run)
        if kept:
            kept.completion.stop()

    async def _attach(self, run: str, after: int) -> None:
        kept, answer = await self._find(run)
        if kept:
            self._follow(kept, after, None)
            return
        message = message_json(answer)
        if message["error"]:
            failed = {"type": "failed", "ref": None, "run": run, "error": message["error"]}
            await self.tell({**failed, "message": message, "draft": None})
        else:
            await self.tell({"type": "ended", "run": run, "message": message})

    async def _find(self, run: str) -> tuple[Kept | None, Message]:
        """Return a run, while it is in memory, and its answer. Raises NotFound where they are someone else's."""
        kept = keeper.find(run)
        if kept:
            await database_sync_to_async(conversations.find)(self.user, kept.turn.conversation.pk)
            return kept, kept.turn.answer
        return None, await database_sync_to_async(conversations.find_answer)(self.user, run)

    async def _watch(self, project: str) -> None:
        balance = await access.abalance_for(self.user, project)
        self._watched = (project, await access.standing(self.user, project))
        self._follower.team = project.partition("/")[0]
        await self._tell_balance(balance)

    async def _tell_balance(self, balance: dict[str, str]) -> None:
        if balance["project"].partition("/")[0] == self._follower.team:
            self._follower.told_nano = int(balance["balance_nano"])
        await self.tell({"type": "balance", **balance})

    def _follow(self, kept: Kept, after: int, ref: str | None) -> None:
        """Relay a run from after chunk number ``after``, in place of an earlier relay of the same."""
        run = kept.completion.id
        earlier = self._relays.get(run)
        if earlier:
            earlier.task.cancel()
        elif len(self._relays) >= MAX_RUNS_PER_SOCKET:
            raise TooMuch
        task = self.begin(self._relay(kept, after, ref))
        self._relays[run] = Relay(task, str(kept.turn.conversation.project))
        task.add_done_callback(lambda ended: self._forget(run, ended))

    def _forget(self, run: str, task: "asyncio.Task[None]") -> None:
        if run in self._relays and self._relays[run].task is task:
            del self._relays[run]

    async def _relay(self, kept: Kept, after: int, ref: str | None) -> None:
        completion = kept.completion
        # What ends the answer early is part of the final frame.
        with suppress(*DOMAIN_ERRORS):
            async with completion.subscribe(after) as reader:
                await self._tell_queue(completion)
                async for batch in reader:
                    chunks = [_chunk_json(chunk) for chunk in batch.chunks]
                    await self.tell({"type": "chunks", "run": completion.id, "from": batch.first, "chunks": chunks})
        final = await asyncio.shield(kept.final)
        await self.tell({**final, "ref": ref} if final["type"] == "failed" else final)
        with suppress(PlaygroundError):
            project = str(kept.turn.conversation.project)
            await self._tell_balance(await access.abalance_for(self.user, project))

    async def _tell_queue(self, completion: Completion) -> None:
        """Tell a run's place in line, and about how long it will be, until its answer begins."""
        told = None
        begun = asyncio.ensure_future(completion.begun())
        try:
            while not begun.done():
                place = completion.place_in_line
                if place and place != told:
                    told = place
                    queued = {"type": "queued", "run": completion.id, "position": place.position}
                    await self.tell({**queued, "wait_seconds": place.wait_seconds})
                await asyncio.wait({begun}, timeout=QUEUE_LOOK_SECONDS)
        finally:
            begun.cancel()
            await asyncio.gather(begun, return_exceptions=True)

    async def _tell_refusal(self, error: Exception, frame: Frame | None) -> None:
        described = describe(error)
        request_log.socket_refusal(SOCKET_PATH, self.user.pk, described["code"], status(error))
        refused = {
            "type": "failed",
            "ref": getattr(frame, "ref", None),
            "run": getattr(frame, "run", None),
            "error": described,
            "message": None,
            "draft": frame.content if isinstance(frame, Send) else None,
        }
        await self.tell(refused)

    async def _watch_access(self) -> None:
        """Close the socket when a change takes away what it was opened for."""
        while True:
            await self._access_changed.wait()
            self._access_changed.clear()
            if not await self._may_stay():
                await self._revoke()
                return

    async def _watch_balance(self) -> None:
        """Tell the watched project's balance when someone else changed it."""
        while True:
            await self._balance_changed.wait()
            self._balance_changed.clear()
            # Whose access has ended hears that instead.
            with suppress(PlaygroundError):
                if self._watched:
                    await self._tell_balance(await access.abalance_for(self.user, self._watched[0]))

    async def _may_stay(self) -> bool:
        try:
            user = await access.signed_in(self.scope)
        except SignedOut:
            return False
        needed = {relay.project: Standing.CALLS for relay in self._relays.values()}
        if self._watched:
            path, had = self._watched
            needed[path] = max(had, needed.get(path, had))
        return user == self.user and all([await access.standing(user, path) >= had for path, had in needed.items()])

    async def _revoke(self) -> None:
        await self.tell({"type": "revoked", "message": "Your access changed. Reload the page to go on."})
        await self.close(CLOSED_BY_REVOCATION)


def _chunk_json(chunk: Chunk) -> dict[str, str]:
    """Return what a chunk adds to the page; one that adds nothing still counts."""
    pieces = {"content": chunk.content, "reasoning": chunk.reasoning}
    return {name: text for name, text in pieces.items() if text}
