"""The balances that open pages show, kept true: one query for all of them, a few times in a second.

Triggers would tell too, but one for every charge costs the ledger more than this costs; see the decision on hearing
changes. Grants, corrections and charges count, from any process; holds do not.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from channels.db import database_sync_to_async
from django.db import DatabaseError

from credits.models import Account

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.5


@dataclass(slots=True, eq=False)
class Follower:
    """One page: the slug of the team whose balance it shows, and what it was told last, in nano-credits."""

    hear: Callable[[], None]
    team: str = ""
    told_nano: int = 0


class _Lookout:
    """Looks for all followers of one event loop, as long as there are any."""

    def __init__(self) -> None:
        self.followers: set[Follower] = set()
        self.task = asyncio.create_task(self._look())

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            teams = {follower.team for follower in self.followers} - {""}
            try:
                balances = await database_sync_to_async(_balances)(teams) if teams else {}
            except DatabaseError:
                logger.exception("the balances that pages show could not be read")
                continue
            for follower in tuple(self.followers):
                if balances.get(follower.team, follower.told_nano) != follower.told_nano:
                    follower.hear()


_lookouts: dict[asyncio.AbstractEventLoop, _Lookout] = {}


@contextmanager
def following(hear: Callable[[], None]) -> Iterator[Follower]:
    """Have ``hear`` called, again and again, while the follower was told another balance than its team has."""
    loop = asyncio.get_running_loop()
    if loop not in _lookouts:
        _lookouts[loop] = _Lookout()
    lookout = _lookouts[loop]
    follower = Follower(hear)
    lookout.followers.add(follower)
    try:
        yield follower
    finally:
        lookout.followers.discard(follower)
        if not lookout.followers:
            lookout.task.cancel()
            del _lookouts[loop]


def _balances(teams: set[str]) -> dict[str, int]:
    return dict(Account.objects.filter(team__slug__in=teams).values_list("team__slug", "balance_nano"))
