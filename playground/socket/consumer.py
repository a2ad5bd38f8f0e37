"""The playground's socket: it hears what a person wants, starts it, and relays what comes of it.

Runs are not the socket's: each is relayed here by a task that waits for its end, and goes on elsewhere when the socket
is gone.
"""

import asyncio
from collections.abc import Coroutine
from contextlib import aclosing, suppress
from typing import Any, NamedTuple
from uuid import UUID

from channels.db import database_sync_to_async
from django.db import DatabaseError

from accounts.errors import AuthenticationFailed
from accounts.models import User
from core.errors import DomainError
from core.ids import request_id
from playground import access, remote_runs
from playground.access import Standing
from playground.conversations import answers, store
from playground.conversations.answers import Kept
from playground.conversations.forms import (
    Answer,
    Asking,
    Attach,
    Frame,
    Regenerate,
    Send,
    Stop,
    Watch,
    read,
    read_frame,
)
from playground.conversations.serializers import message_json, turn_json
from playground.errors import PlaygroundError, Restarting, SignedOut, TooMuch, error_json, problem_of
from playground.limits import MAX_FRAME_CHARACTERS, MAX_RUNS_PER_SOCKET
from playground.models import Message
from playground.remote_runs.protocol import FINAL
from playground.socket import balances
from playground.socket.base import SOCKET_PATH, Socket
from playground.socket.frames import Frames, RunRelay
from playground.socket.presence import present
from playground.socket.watching import watching
from web import request_log
from web.origins import is_same_origin

CLOSED_BY_REVOCATION, CLOSED_BY_SIZE, CLOSED_BY_KIND = 4403, 1009, 1003


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
        # Those whose frames come from this process.
        self._local: set[RunRelay] = set()
        self._asking = asyncio.Lock()
        self._is_leaving = False
        self._watched: tuple[str, Standing] | None = None
        self._access_changed = asyncio.Event()
        self._balance_changed = asyncio.Event()
        await super().__call__(scope, receive, send)

    async def connect(self) -> None:
        """Accept a signed-in person's own page, and nobody else."""
        try:
            if not is_same_origin(self.scope):
                raise SignedOut
            self.user = await access.signed_in(self._session)
            self.until_closed.enter_context(
                await present(self.runtime.browser_slots, self.user.pk, self._access_changed.set)
            )
            self._viewer = self.until_closed.enter_context(watching(self._conversation_changed))
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
                self.user = await access.signed_in(self._session, is_use=True)
                frame = read(read_frame, text_data)
                await self._do(frame)
            except SignedOut as error:
                await self._revoke(error)
            except (DomainError, DatabaseError) as error:
                await self._tell_refusal(error, frame)

    async def _do(self, frame: Frame) -> None:
        match frame:
            case Send() | Regenerate() | Answer():
                async with self._asking:
                    await self._ask(frame)
            case Stop(run):
                await self._stop(run)
            case Attach(run, after):
                await self._attach(run, after)
            case Watch(project, conversations):
                await self._watch(project, conversations)

    def leave(self) -> None:
        """Take no more questions, and close when what was asked is answered."""
        self._is_leaving = True
        super().leave()

    async def finished(self) -> None:
        """Return when every answer that is relayed here has come to its end."""
        async with self._asking:
            relays = [relay.task for relay in self._relays.values()]
        if relays:
            await asyncio.wait(relays)

    async def _ask(self, form: Asking) -> None:
        if self._is_leaving:
            raise Restarting
        if len(self._relays) >= MAX_RUNS_PER_SOCKET:
            raise TooMuch(f"{MAX_RUNS_PER_SOCKET} answers at once are relayed at most. Wait for one to end.")
        kept = await answers.ask(self.runtime, self.user, self._session, form)
        turn = kept.turn
        started = {
            "type": "started",
            "ref": form.ref,
            "run": kept.run.id,
            "request_id": request_id(kept.run.id),
            **turn_json(turn),
        }
        await self.tell(started)
        project = str(turn.conversation.project)
        self._follow(kept.run.id, project, self._relay_here(project, kept, 0, form.ref))

    async def _stop(self, run: str) -> None:
        kept, _ = await self._find(run)
        if kept:
            kept.run.stop()
        else:
            await asyncio.to_thread(remote_runs.stop, run)

    async def _attach(self, run: str, after: int) -> None:
        kept, answer = await self._find(run)
        project = str(answer.conversation.project)
        if kept:
            self._follow(run, project, self._relay_here(project, kept, after, None))
        elif remote_runs.may_have(run):
            self._follow(run, project, self._relay(project, self._frames_elsewhere(run, after)))
        else:
            await self.tell(await _outcome(answer))

    async def _frames_elsewhere(self, run: str, after: int) -> Frames:
        """Yield a run of another process; where that does not have it any more, how it ended."""
        is_told = False
        async with aclosing(remote_runs.follow(run, after)) as frames:
            async for frame in frames:
                is_told = frame["type"] in FINAL
                yield frame
        if not is_told:
            _, answer = await self._find(run)
            yield await _outcome(answer)

    async def _find(self, run: str) -> tuple[Kept | None, Message]:
        """Return a run, while it is in memory, and its answer. Raises NotFound where they are someone else's."""
        kept = answers.find(run)
        if kept:
            await database_sync_to_async(store.find)(self.user, kept.turn.conversation.pk)
            return kept, kept.turn.answer
        return None, await database_sync_to_async(store.find_answer)(self.user, run)

    async def _watch(self, project: str, conversations: list[UUID]) -> None:
        versions = await database_sync_to_async(store.versions_of)(self.user, conversations)
        self._viewer.told = versions
        for conversation, version in versions.items():
            await self._tell_change(conversation, version)
        balance = await access.abalance_for(self.user, project)
        self._watched = (project, await access.standing(self.user, project))
        self._follower.team = project.partition("/")[0]
        await self._tell_balance(balance)

    def _conversation_changed(self, conversation: UUID, version: int) -> None:
        self.begin(self._tell_change(conversation, version))

    async def _tell_change(self, conversation: UUID, version: int) -> None:
        await self.tell({"type": "changed", "conversation": str(conversation), "version": version})

    async def _tell_balance(self, balance: dict[str, str]) -> None:
        if balance["project"].partition("/")[0] == self._follower.team:
            self._follower.told_nano = int(balance["balance_nano"])
        await self.tell({"type": "balance", **balance})

    def caught_up(self) -> None:
        """Tell on."""
        for relay in tuple(self._local):
            relay.resume()

    def _follow(self, run: str, project: str, relaying: Coroutine[Any, Any, None]) -> None:
        """Relay a run, in place of an earlier relay of the same."""
        earlier = self._relays.get(run)
        if earlier:
            earlier.task.cancel()
        elif len(self._relays) >= MAX_RUNS_PER_SOCKET:
            relaying.close()
            raise TooMuch
        task = self.begin(relaying)
        self._relays[run] = Relay(task, project)
        task.add_done_callback(lambda ended: self._forget(run, ended))

    def _forget(self, run: str, task: "asyncio.Task[None]") -> None:
        if run in self._relays and self._relays[run].task is task:
            del self._relays[run]

    async def _relay_here(self, project: str, kept: Kept, after: int, ref: str | None) -> None:
        """Relay a run of this process: its frames are put as they come, and nobody waits for each."""
        relay = RunRelay(kept, after, self.put, ref)
        self._local.add(relay)
        try:
            relay.begin()
            await relay.over
        finally:
            self._local.discard(relay)
            relay.leave()
        await self._tell_new_balance(project)

    async def _relay(self, project: str, frames: Frames) -> None:
        async with aclosing(frames):
            async for frame in frames:
                await self.tell({**frame, "ref": None} if frame["type"] == "failed" else frame)
        await self._tell_new_balance(project)

    async def _tell_new_balance(self, project: str) -> None:
        with suppress(PlaygroundError):
            await self._tell_balance(await access.abalance_for(self.user, project))

    async def _tell_refusal(self, error: Exception, frame: Frame | None) -> None:
        described = error_json(error)
        request_log.socket_refusal(SOCKET_PATH, self.user.pk, described["code"], problem_of(error).status)
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
            if refusal := await self._access_lost():
                await self._revoke(refusal)
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

    async def _access_lost(self) -> Exception | None:
        """Return what a change took away, if it took anything that this socket needs."""
        try:
            user = await access.signed_in(self._session)
        except SignedOut as error:
            return error
        needed = {relay.project: Standing.CALLS for relay in self._relays.values()}
        if self._watched:
            path, had = self._watched
            needed[path] = max(had, needed.get(path, had))
        if user == self.user and all([await access.standing(user, path) >= had for path, had in needed.items()]):
            return None
        return AuthenticationFailed()

    async def _revoke(self, reason: Exception) -> None:
        await self.tell({"type": "revoked", "error": error_json(reason)})
        await self.close(CLOSED_BY_REVOCATION)

    @property
    def _session(self) -> str | None:
        key: str | None = self.scope["session"].session_key
        return key


async def _outcome(answer: Message) -> dict[str, Any]:
    """Return the frame that tells how a run ended, as it was written down."""
    message = await asyncio.to_thread(message_json, answer)
    if message["error"]:
        failed = {"type": "failed", "ref": None, "run": answer.run, "error": message["error"]}
        return {**failed, "message": message, "draft": None}
    return {"type": "ended", "run": answer.run, "message": message}
