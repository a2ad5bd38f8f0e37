"""The conversations that open pages show, kept true: a page hears when one was changed elsewhere, in any process.

One query for all of them after a change, at most a few times in a second.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from channels.db import database_sync_to_async
from django.db import DatabaseError

from core import changes
from playground.models import TOPIC, Conversation

logger = logging.getLogger(__name__)

LOOK_SECONDS: Final = 0.25


@dataclass(slots=True, eq=False)
class Viewer:
    """One page: the conversations that it shows, each with the version that it was told last."""

    hear: Callable[[UUID, int], None]
    told: dict[UUID, int]


class _Lookout:
    """Looks for all viewers of one event loop, as long as there are any."""

    def __init__(self) -> None:
        self.viewers: set[Viewer] = set()
        self.changed = asyncio.Event()
        self.task = asyncio.create_task(self._look())

    async def _look(self) -> None:
        while True:
            await self.changed.wait()
            self.changed.clear()
            watched = {conversation for viewer in self.viewers for conversation in viewer.told}
            try:
                versions = await database_sync_to_async(_versions)(watched) if watched else {}
            except DatabaseError:
                logger.exception("the conversations that pages show could not be read")
                continue
            for viewer in tuple(self.viewers):
                for conversation, told in tuple(viewer.told.items()):
                    if conversation not in watched:
                        # It was opened during the look, which says nothing of it.
                        self.changed.set()
                        continue
                    # One that is gone has no version any more.
                    version = versions.get(conversation, 0)
                    if version != told:
                        viewer.told[conversation] = version
                        viewer.hear(conversation, version)
            await asyncio.sleep(LOOK_SECONDS)


_lookouts: dict[asyncio.AbstractEventLoop, _Lookout] = {}


@contextmanager
def watching(hear: Callable[[UUID, int], None]) -> Iterator[Viewer]:
    """Have ``hear`` called with each change of a conversation in the viewer's ``told``; version 0: it is gone."""
    loop = asyncio.get_running_loop()
    changes.subscribe(TOPIC, _changed)
    if loop not in _lookouts:
        _lookouts[loop] = _Lookout()
    lookout = _lookouts[loop]
    viewer = Viewer(hear, {})
    lookout.viewers.add(viewer)
    try:
        yield viewer
    finally:
        lookout.viewers.discard(viewer)
        if not lookout.viewers:
            lookout.task.cancel()
            del _lookouts[loop]


def _changed() -> None:
    """Have every loop look again; called in the watcher's thread."""
    for loop, lookout in tuple(_lookouts.items()):
        # A loop that is closed has nobody left.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(lookout.changed.set)


def _versions(conversations: set[UUID]) -> dict[UUID, int]:
    return dict(Conversation.objects.filter(pk__in=conversations).values_list("pk", "version"))
