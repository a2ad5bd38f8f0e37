"""Keeps answers: one task for each run, not for each connection, writes its end down, whoever is still listening."""

import asyncio
import logging
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from channels.db import database_sync_to_async
from django.db import DatabaseError

from accounts import keys
from accounts.models import User
from core.errors import DomainError
from inference.errors import EngineError, EngineFailed
from inference.runs import spine
from inference.runs.spine import LiveRun
from inference.runtime import Runtime
from playground import access, remote_runs
from playground.conversations import claims, progress, store
from playground.conversations.assembly import said
from playground.conversations.branches import Turn
from playground.conversations.forms import Asking
from playground.conversations.serializers import message_json
from playground.errors import AnswerNotSaved, SignedOut, error_json
from playground.limits import OUTCOME_SECONDS
from playground.models import Message
from playground.socket.base import SOCKET_PATH
from playground.socket.presence import listening
from web import request_log
from web.chat import parse

logger = logging.getLogger(__name__)

# Sockets hear of the end of their login in the same moment, and let go of what they read.
LOOKS: Final = 40
LOOK_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True)
class Kept:
    """A run of this process and, to be awaited, the frame that tells its end."""

    run: LiveRun
    turn: Turn
    final: "asyncio.Task[dict[str, Any]]"


_kept: dict[str, Kept] = {}


async def ask(runtime: Runtime, user: User, session: str | None, form: Asking) -> Kept:
    """Append a turn to a conversation and start its run. Raises DomainError, with nothing changed.

    The run does not outlive the session that asks, unless someone else reads it.
    """
    conversation = await database_sync_to_async(store.find)(user, form.conversation)
    caller = await keys.aauthorize(user.pk, str(conversation.project))
    run = claims.claim(conversation.pk)
    turn: Turn | None = None
    try:
        turn = await database_sync_to_async(store.append)(user, form, run)
        request = parse(turn.body)
    except BaseException:
        claims.release(conversation.pk)
        if turn:
            await database_sync_to_async(store.withdraw)(turn)
        raise
    started = spine.start(runtime, caller, request, run_id=run, resumable=True)
    kept = Kept(started, turn, asyncio.create_task(_keep(started, turn, session), name=f"keeper of {run}"))
    _kept[run] = kept
    return kept


def find(run: str) -> Kept | None:
    """Return a run of this process that lives or ended within OUTCOME_SECONDS; the caller checks whose it is."""
    return _kept.get(run)


def stop(conversation: UUID) -> None:
    """Stop the answer that a conversation is being given, here or in another process; its end is written down later.

    For any thread; asks the database, and blocks.
    """
    kept = _kept.get(claims.run_of(conversation) or "")
    if kept:
        kept.run.loop.call_soon_threadsafe(kept.run.stop)
        return
    running = Message.objects.filter(conversation=conversation, state=Message.State.RUNNING)
    for run in running.values_list("run", flat=True):
        remote_runs.stop(run)


async def drain() -> None:
    """Wait until the end of every run is written down, for a process that shuts down after its runs were ended.

    Whoever does not wait so long stops no one's writing.
    """
    loop = asyncio.get_running_loop()
    finals = [kept.final for kept in _kept.values() if kept.final.get_loop() is loop]
    if finals:
        await asyncio.wait(finals)


async def _keep(run: LiveRun, turn: Turn, session: str | None) -> dict[str, Any]:
    """Wait for the end of a run, write it down, and return the frame that tells it."""
    watching = asyncio.create_task(_watch_login(run, session), name=f"login of {run.id}")
    saving = asyncio.create_task(progress.save(run.buffer, turn), name=f"progress of {run.id}")
    try:
        await run.ended()
        request_log.socket_run(run, SOCKET_PATH)
        # What it wrote last must not come after the end.
        await progress.cancelled(saving)
        return await _conclude(run, turn)
    finally:
        watching.cancel()
        saving.cancel()
        claims.release(turn.conversation.pk)
        asyncio.get_running_loop().call_later(OUTCOME_SECONDS, _kept.pop, run.id, None)


async def _watch_login(run: LiveRun, session: str | None) -> None:
    """End a run that nobody reads when whoever asked for it has signed out: he will not come back to it."""
    changed = asyncio.Event()
    with listening(changed.set):
        while True:
            await changed.wait()
            changed.clear()
            try:
                await access.signed_in(session)
            except SignedOut:
                await _let_go(run)


async def _let_go(run: LiveRun) -> None:
    """End a run once nobody reads it; whoever still does after the last look has a login of his own."""
    for _ in range(LOOKS):
        if not run.buffer.subscriptions:
            run.stop()
            return
        await asyncio.sleep(LOOK_SECONDS)


async def _conclude(run: LiveRun, turn: Turn) -> dict[str, Any]:
    error, chunks = run.buffer.error, run.buffer.chunks
    if error and not chunks and not isinstance(error, EngineError):
        # Refused, not failed: as if it had never been sent, and the text is not lost.
        return _failed(run, error, None, await _withdraw(turn))
    try:
        message = message_json(await progress.conclude(turn, run.receipt, said(chunks), error))
    except DatabaseError:
        logger.exception("the answer of run %s could not be written down", run.id)
        unsaved = {**message_json(turn.answer), "error": error_json(AnswerNotSaved(), run.id)}
        return _failed(run, AnswerNotSaved(), unsaved, None)
    return _failed(run, error, message, None) if error else {"type": "ended", "run": run.id, "message": message}


async def _withdraw(turn: Turn) -> str | None:
    """Undo a turn that was refused, and return what was said; where that fails, it is told all the same."""
    try:
        draft: str | None = await database_sync_to_async(store.withdraw)(turn)
    except DatabaseError:
        logger.exception("a turn of conversation %s could not be undone", turn.conversation.pk)
        return turn.question.content if turn.question else None
    return draft


def _failed(run: LiveRun, error: Exception, message: dict[str, Any] | None, draft: str | None) -> dict[str, Any]:
    shown = error if isinstance(error, DomainError) else EngineFailed()
    return {
        "type": "failed",
        "run": run.id,
        "error": error_json(shown, run.id),
        "message": message,
        "draft": draft,
    }
