"""How often something was tried lately at any process of the site, as Redis knows it; see ``console.throttle``.

A key of Redis is one window, which ends by itself; what was typed stands in it as a hash. Each function raises
RedisAway.
"""

import math
from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING, Final, NamedTuple

from django.conf import settings

from core import redis
from core.redis import PREFIX

if TYPE_CHECKING:
    from redis import Redis
    from redis.commands.core import Script

# Returns the milliseconds until the next attempt is allowed, or 0, having counted one.
TAKE: Final = """
if tonumber(redis.call('GET', KEYS[1]) or '0') >= tonumber(ARGV[1]) then
  return math.max(redis.call('PTTL', KEYS[1]), 1)
end
if redis.call('INCR', KEYS[1]) == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 0
"""
GIVE_BACK: Final = "if tonumber(redis.call('GET', KEYS[1]) or '0') > 0 then redis.call('DECR', KEYS[1]) end"


class _Redis(NamedTuple):
    client: "Redis"
    take: "Script"
    give_back: "Script"


def take(kind: str, key: str, limit: int, seconds: float) -> int:
    """Do as ``Throttle.take`` says."""
    with redis.asking():
        wait_ms = _redis(settings.REDIS_URL).take(keys=[_name(kind, key)], args=[limit, round(seconds * 1000)])
    return math.ceil(int(wait_ms) / 1000)


def give_back(kind: str, key: str) -> None:
    """Do as ``Throttle.give_back`` says."""
    with redis.asking():
        _redis(settings.REDIS_URL).give_back(keys=[_name(kind, key)])


def forget(kind: str, key: str) -> None:
    """Do as ``Throttle.forget`` says."""
    with redis.asking():
        _redis(settings.REDIS_URL).client.delete(_name(kind, key))


@cache
def _redis(url: str) -> _Redis:
    client = redis.blocking_client(url)
    return _Redis(client, client.register_script(TAKE), client.register_script(GIVE_BACK))


def _name(kind: str, key: str) -> str:
    return f"{PREFIX}attempts:{kind}:{sha256(key.encode(errors='backslashreplace')).hexdigest()}"
