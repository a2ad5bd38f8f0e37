"""The site's Redis, where REDIS_URL names one: how it is reached, and that nobody waits for it while it is away.

redis-py is imported late: it takes 11 MB, and most sites do without.
"""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings
from prometheus_client import Gauge

if TYPE_CHECKING:
    from redis import Redis as BlockingRedis
    from redis.asyncio import Redis

logger = logging.getLogger(__name__)

_AWAY = Gauge("parley_redis_away", "Processes that do without Redis now.", multiprocess_mode="livesum")

# After a failure nobody asks anything for a while.
AWAY_SECONDS: Final = 3.0
# What everything of ours in Redis begins with.
PREFIX: Final = "parley:"


class RedisAway(Exception):
    """Redis did not answer in time, or was not asked because it had not answered a moment ago."""


class _Reach:
    """When Redis may be asked again (monotonic seconds), and whether its silence was told."""

    lock = threading.Lock()
    ask_again_at = 0.0
    is_away = False


@contextmanager
def asking(*, even_if_away: bool = False) -> Iterator[None]:
    """Ask Redis within the block. Raises RedisAway in place of whatever goes wrong with it, and at once while it is
    away, unless to find out about that is the point.
    """
    if time.monotonic() < _Reach.ask_again_at and not even_if_away:
        raise RedisAway
    try:
        with translated():
            yield
    except RedisAway as away:
        _lost(away.__cause__ or away)
        raise
    _found()


@contextmanager
def translated() -> Iterator[None]:
    """Raise RedisAway in place of whatever goes wrong with Redis, and leave it at that."""
    from redis.exceptions import RedisError

    try:
        yield
    except (RedisError, OSError) as error:
        raise RedisAway from error


def client(url: str) -> "Redis":
    """Return a client for one event loop, to be closed."""
    from redis.asyncio import Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    return Redis.from_url(url, retry=Retry(NoBackoff(), 0), **_patience())


def blocking_client(url: str) -> "BlockingRedis":
    """Return a client for threads."""
    from redis import Redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    return Redis.from_url(url, retry=Retry(NoBackoff(), 0), **_patience())


def _patience() -> dict[str, Any]:
    return {
        "socket_timeout": settings.REDIS_SECONDS,
        "socket_connect_timeout": settings.REDIS_SECONDS,
        "protocol": 2,
    }


def _lost(error: BaseException) -> None:
    with _Reach.lock:
        _Reach.ask_again_at = time.monotonic() + AWAY_SECONDS
        was_away, _Reach.is_away = _Reach.is_away, True
    if not was_away:
        _AWAY.set(True)
        reason = str(error) or type(error).__name__
        logger.warning("Redis does not answer (%s): each machine counts for itself until it does", reason)


def _found() -> None:
    if not _Reach.is_away:
        return
    with _Reach.lock:
        was_away, _Reach.is_away, _Reach.ask_again_at = _Reach.is_away, False, 0.0
    if was_away:
        _AWAY.set(False)
        logger.warning("Redis answers again")
