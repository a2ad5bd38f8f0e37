"""The slots that are taken in every process of every machine, as one Redis knows them.

Each holder has a sorted set: who has a slot, and until when. A process renews its own while it lives, so those of a
killed one are free LEASE_SECONDS later, and all are known again soon after Redis has lost its memory. What is asked
while an answer is under way goes into the next question, in order, so that nothing overtakes anything.
"""

import asyncio
import logging
import secrets
from collections.abc import Sequence
from contextlib import suppress
from itertools import count, zip_longest
from typing import Final, Literal, NamedTuple, Self

import msgspec
from django.conf import settings

from core import redis
from core.redis import PREFIX, RedisAway
from inference.concurrency.local import Holder
from inference.concurrency.slots import Slot

logger = logging.getLogger(__name__)

LEASE_SECONDS: Final = 10
# In each lease so often.
RENEWALS: Final = 3
# However long Redis is away.
MAX_DOUBTFUL: Final = 10_000
WRITTEN: Final = f"{PREFIX}in-flight"

# Takes a list of operations: [take | keep | give, member, positions in KEYS, limits]. Returns for each the position
# among its keys of the first that is at its limit, from 1, or 0. All of it is one step, by Redis's clock.
SCRIPT: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local lease = tonumber(ARGV[1])
local answers = {}
-- Without anything to say, too, it shows whether this Redis takes what is written.
redis.call('SET', KEYS[1], '', 'PX', lease)
for number, operation in ipairs(cjson.decode(ARGV[2])) do
  local kind, member, keys, limits = unpack(operation)
  local full = 0
  if kind == 'take' then
    for number, key in ipairs(keys) do
      redis.call('ZREMRANGEBYSCORE', KEYS[key], '-inf', now)
      if full == 0 and redis.call('ZCARD', KEYS[key]) >= limits[number] then full = number end
    end
  end
  for _, key in ipairs(keys) do
    if kind == 'give' then
      redis.call('ZREM', KEYS[key], member)
    elseif full == 0 then
      redis.call('ZADD', KEYS[key], now + lease, member)
      redis.call('PEXPIRE', KEYS[key], lease)
    end
  end
  answers[number] = full
end
return answers
"""


class _Operation(NamedTuple):
    kind: Literal["take", "keep", "give"]
    member: str
    holders: Sequence[Holder]
    limits: Sequence[int] = ()
    # None where there is no answer.
    answer: "asyncio.Future[int | None] | None" = None


class RedisSlots:
    """This process's part in it, for the event loop on which it is entered."""

    def __init__(self, lease_seconds: float = LEASE_SECONDS) -> None:
        self._lease_seconds = lease_seconds
        self._client = redis.client(settings.REDIS_URL)
        self._script = self._client.register_script(SCRIPT)
        # Not the process's name: that is short, and two with the same must not share slots.
        self._process = secrets.token_hex(16)
        self._numbers = count(1)
        self._members: dict[Slot, str] = {}
        # Members that Redis has, or may have, since a question was not answered.
        self._doubtful: dict[str, Sequence[Holder]] = {}
        self._waiting: list[_Operation] = []
        self._wake = asyncio.Event()
        self._is_due = True
        self._is_here = False
        self._is_ending = False

    async def __aenter__(self) -> Self:
        """Find out whether Redis is there, and stay in touch."""
        await self._send()
        self._speaking, self._renewing = asyncio.create_task(self._speak()), asyncio.create_task(self._renew())
        return self

    async def __aexit__(self, *error: object) -> None:
        """Leave nothing behind."""
        self._renewing.cancel()
        for slot in list(self._members):
            self.give_back(slot)
        self._is_ending = True
        self._wake.set()
        await asyncio.gather(self._speaking, self._renewing, return_exceptions=True)
        await self._client.aclose()

    async def take(self, slot: Slot, limits: Sequence[int]) -> int | None:
        """Do as ``Slot.take`` says. Raises RedisAway."""
        if not self._is_here:
            raise RedisAway
        member = self._new_member()
        answer: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        self._tell(_Operation("take", member, slot.holders, limits, answer))
        try:
            full = await answer
        except asyncio.CancelledError:
            # It may have been granted already.
            self._give(member, slot.holders)
            raise
        if full is None:
            raise RedisAway
        if full:
            return full - 1
        self._members[slot] = member
        return None

    def add(self, slot: Slot) -> None:
        """Count a slot that was taken while Redis was away, from when it is back."""
        self._members[slot] = self._new_member()

    def give_back(self, slot: Slot) -> None:
        """Let another have the slot; if Redis is away, its lease ends."""
        member = self._members.pop(slot, None)
        if member:
            self._give(member, slot.holders)

    def _new_member(self) -> str:
        return f"{self._process}:{next(self._numbers)}"

    def _give(self, member: str, holders: Sequence[Holder]) -> None:
        if self._is_here:
            self._tell(_Operation("give", member, holders))

    def _tell(self, operation: _Operation) -> None:
        self._waiting.append(operation)
        self._wake.set()

    async def _speak(self) -> None:
        while self._waiting or not self._is_ending:
            await self._wake.wait()
            try:
                await self._send()
            except Exception:
                logger.exception("The slots of other machines are not known until the next renewal")

    async def _renew(self) -> None:
        """Have the leases renewed in time; while Redis is away, this is what finds it back."""
        while True:
            await asyncio.sleep(self._lease_seconds / RENEWALS)
            self._is_due = True
            self._wake.set()

    async def _send(self) -> None:
        """Ask for all that waits, and tell the answers; whoever still waits after a failure hears RedisAway."""
        operations, self._waiting = self._waiting, []
        self._wake.clear()
        if self._is_due:
            # It may be due again before the answer is there.
            self._is_due = False
            operations = [*self._ended(), *self._kept(), *operations]
        answers: list[int] | None = None
        try:
            with suppress(RedisAway):
                answers = await self._ask(operations)
        finally:
            self._is_here = answers is not None
            if answers is None:
                operations += self._waiting
                self._waiting, self._is_due = [], True
                self._doubt([*self._kept(), *operations])
            else:
                self._doubtful.clear()
            for operation, full in zip_longest(operations, answers or ()):
                if operation.answer and not operation.answer.done():
                    operation.answer.set_result(full)

    def _kept(self) -> list[_Operation]:
        return [_Operation("keep", member, slot.holders) for slot, member in self._members.items()]

    def _ended(self) -> list[_Operation]:
        """Give back what ended while Redis was away: it would count for a lease from its last renewal."""
        living = set(self._members.values())
        return [_Operation("give", *doubt) for doubt in self._doubtful.items() if doubt[0] not in living]

    def _doubt(self, operations: Sequence[_Operation]) -> None:
        self._doubtful.update({operation.member: operation.holders for operation in operations})
        for member in list(self._doubtful)[:-MAX_DOUBTFUL]:
            del self._doubtful[member]

    async def _ask(self, operations: Sequence[_Operation]) -> list[int]:
        positions = {WRITTEN: 1}
        told = [
            (kind, member, [positions.setdefault(_key(holder), len(positions) + 1) for holder in holders], list(limits))
            for kind, member, holders, limits, _ in operations
        ]
        with redis.asking(even_if_away=True):
            async with asyncio.timeout(settings.REDIS_SECONDS):
                answers: list[int] = await self._script(
                    keys=list(positions), args=[round(self._lease_seconds * 1000), msgspec.json.encode(told)]
                )
                return answers


def _key(holder: Holder) -> str:
    kind, number = holder
    return f"{PREFIX}in-flight:{kind}:{number}"
