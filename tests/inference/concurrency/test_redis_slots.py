"""Slots that are counted over several processes, in a real Redis."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest
from pytest_django import Settings

from core.redis import PREFIX, RedisAway
from inference.concurrency.local import Holder, InFlightHere
from inference.concurrency.redis_slots import RedisSlots
from inference.concurrency.slots import Slot, Slots
from tests.patience import eventually
from tests.redis_server import RedisServer

PROJECT: Holder = ("project", 7)
USERS: list[Holder] = [("user", number) for number in range(10)]
# Takes the project's only slot, and keeps it.
CHILD = """
import asyncio
import django
django.setup()
from inference.concurrency.local import InFlightHere
from inference.concurrency.slots import Slot, Slots
from inference.concurrency.redis_slots import RedisSlots

async def main():
    async with RedisSlots(lease_seconds=1.5) as slots:
        assert await slots.take(Slot([("project", 7)], Slots(InFlightHere())), [1]) is None
        print("taken", flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.fixture
async def processes(redis: RedisServer) -> AsyncIterator[list[RedisSlots]]:
    """Three processes, on whatever machines; they renew every second."""
    async with RedisSlots(3) as one, RedisSlots(3) as two, RedisSlots(3) as three:
        yield [one, two, three]


def slot(*holders: Holder) -> Slot:
    return Slot(holders or [PROJECT], Slots(InFlightHere()))


def _key(holder: Holder) -> str:
    kind, number = holder
    return f"{PREFIX}in-flight:{kind}:{number}"


def known(redis: RedisServer, holder: Holder = PROJECT) -> int:
    with redis.client() as client:
        return int(client.zcard(_key(holder)))


async def test_a_request_is_counted_for_all_of_its_holders_or_none(processes: list[RedisSlots]) -> None:
    one, two, three = processes
    mine, theirs = [PROJECT, USERS[1]], [PROJECT, USERS[2]]
    assert await one.take(slot(*mine), [2, 1]) is None
    assert await two.take(slot(*mine), [2, 1]) == 1
    other = slot(*theirs)
    assert await three.take(other, [2, 1]) is None
    assert await one.take(slot(PROJECT, USERS[3]), [2, 1]) == 0
    three.give_back(other)
    assert await three.take(slot(PROJECT, USERS[3]), [2, 1]) is None


async def test_of_many_at_the_same_instant_exactly_the_limit_comes_in(processes: list[RedisSlots]) -> None:
    for _ in range(5):
        tries = [(process, slot()) for process in processes for _ in range(100)]
        answers = await asyncio.gather(*(process.take(each, [50]) for process, each in tries))
        assert answers.count(None) == 50
        for (process, each), answer in zip(tries, answers, strict=True):
            if answer is None:
                process.give_back(each)


async def test_those_in_are_never_more_than_the_limit_while_many_come_and_go(processes: list[RedisSlots]) -> None:
    inside = most = done = 0

    async def come_and_go(process: RedisSlots) -> None:
        nonlocal inside, most, done
        for _ in range(40):
            mine = slot(PROJECT, USERS[done % 10])
            while await process.take(mine, [4, 9]) is not None:
                pass
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1
            process.give_back(mine)
            done += 1

    await asyncio.gather(*(come_and_go(process) for process in processes for _ in range(5)))
    assert (most, done) == (4, 600)


async def test_who_leaves_while_he_asks_takes_nothing(processes: list[RedisSlots], redis: RedisServer) -> None:
    asking = [asyncio.create_task(process.take(slot(), [100])) for process in processes for _ in range(10)]
    await asyncio.sleep(0)
    for task in asking:
        task.cancel()
    await asyncio.gather(*asking, return_exceptions=True)
    await eventually(lambda: known(redis) == 0)


async def test_a_process_that_ends_leaves_nothing(redis: RedisServer) -> None:
    async with RedisSlots() as process:
        for _ in range(3):
            await process.take(slot(), [3])
        assert known(redis) == 3
    assert known(redis) == 0


async def test_the_slots_of_a_killed_process_are_free_after_its_lease(
    redis: RedisServer, processes: list[RedisSlots]
) -> None:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CHILD, env=os.environ | {"REDIS_URL": redis.url}, stdout=subprocess.PIPE
    )
    assert child.stdout
    assert await child.stdout.readline() == b"taken\n"
    # Longer than a lease: it is renewed.
    await asyncio.sleep(2)
    assert await processes[0].take(slot(), [1]) == 0
    child.kill()
    await child.wait()

    async def is_free() -> bool:
        return await processes[0].take(slot(), [1]) is None

    await eventually(is_free)


async def test_a_living_process_keeps_its_slots_and_what_redis_forgot_is_told_again(
    redis: RedisServer, processes: list[RedisSlots]
) -> None:
    one, two, _ = processes
    assert await one.take(slot(), [2]) is None
    mine = slot()
    assert await two.take(mine, [2]) is None
    redis.kill()
    with pytest.raises(RedisAway):
        await two.take(slot(), [9])
    two.give_back(mine)
    two.add(slot(USERS[1]))
    redis.start()
    await eventually(lambda: known(redis) == 1)
    await eventually(lambda: known(redis, USERS[1]) == 1)
    # Renewed, not only told once.
    with redis.client() as client:
        before = client.zrange(_key(PROJECT), 0, -1, withscores=True)
        await eventually(lambda: client.zrange(_key(PROJECT), 0, -1, withscores=True) > before)
    assert await two.take(slot(), [1]) == 0


async def test_a_redis_that_takes_nothing_is_away(
    redis: RedisServer, processes: list[RedisSlots], caplog: pytest.LogCaptureFixture
) -> None:
    with redis.client() as client:
        client.config_set("maxmemory", 1)
        with pytest.raises(RedisAway):
            await processes[0].take(slot(), [9])
        # A few renewals find it as it was.
        await asyncio.sleep(3)
        client.config_set("maxmemory", 0)
        assert await _back(processes[0])
    assert [record.message.partition(" (")[0] for record in caplog.records] == [
        "Redis does not answer",
        "Redis answers again",
    ]


async def test_a_silent_redis_is_waited_for_once_and_then_not_asked(
    redis: RedisServer, processes: list[RedisSlots], settings: Settings
) -> None:
    settings.REDIS_SECONDS = 0.2
    loop = asyncio.get_running_loop()
    with redis.silence():
        began = loop.time()
        answers = await asyncio.gather(*(processes[0].take(slot(), [9]) for _ in range(50)), return_exceptions=True)
        assert all(isinstance(answer, RedisAway) for answer in answers)
        assert loop.time() - began >= 0.2
        with pytest.raises(RedisAway):
            # Not even a turn of the loop is waited for.
            processes[0].take(slot(), [9]).send(None)

    settings.REDIS_SECONDS = 10
    assert await _back(processes[0])


async def test_what_ended_while_redis_was_away_does_not_count_when_it_is_back(
    redis: RedisServer, processes: list[RedisSlots], settings: Settings
) -> None:
    before, meanwhile, living = slot(USERS[1]), slot(USERS[2]), slot(USERS[3])
    assert await processes[0].take(before, [9]) is None
    assert await processes[0].take(living, [9]) is None
    settings.REDIS_SECONDS = 0.2
    with redis.silence():
        # Redis finds the question when it goes on.
        with pytest.raises(RedisAway):
            await processes[0].take(meanwhile, [9])
        processes[0].add(meanwhile)
        processes[0].give_back(before)
        processes[0].give_back(meanwhile)
    settings.REDIS_SECONDS = 10
    assert await _back(processes[0])
    assert [known(redis, USERS[number]) for number in (1, 2, 3)] == [0, 0, 1]


async def _back(process: RedisSlots) -> bool:
    """Wait until Redis is asked again."""

    async def is_back() -> bool:
        try:
            return await process.take(slot(), [99]) is None
        except RedisAway:
            return False

    await eventually(is_back)
    return True
