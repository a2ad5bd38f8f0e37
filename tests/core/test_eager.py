"""A coroutine that runs at once up to its first wait."""

import asyncio
from typing import Any

from core.eager import run_as_task, run_eagerly


class Told:
    """What was called back."""

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.came = asyncio.Event()

    def hear(self, outcome: Any) -> None:
        self.heard.append(outcome)
        self.came.set()


async def give(value: int) -> int:
    return value


async def test_what_need_not_wait_is_over_within_the_call() -> None:
    told = Told()
    assert run_eagerly(give(1), told.hear, told.hear) is None
    assert told.heard == [1]


async def test_what_has_to_wait_goes_on_in_a_task() -> None:
    told, gate = Told(), asyncio.Event()

    async def wait() -> int:
        await gate.wait()
        return await give(2)

    task = run_eagerly(wait(), told.hear, told.hear)
    assert task
    assert told.heard == []
    gate.set()
    await told.came.wait()
    assert told.heard == [2]


async def test_an_error_is_called_back_before_and_behind_the_first_wait() -> None:
    async def fail(waits: bool) -> int:
        if waits:
            await asyncio.sleep(0)
        raise ValueError(waits)

    for waits in (False, True):
        told = Told()
        run_eagerly(fail(waits), told.hear, told.hear)
        await told.came.wait()
        assert [str(error) for error in told.heard] == [str(waits)]


async def test_a_cancelled_one_cleans_up_and_says_so_once() -> None:
    """Whether it waits already, or its task has not had its first step yet."""
    for has_begun in (True, False):
        told = Told()
        cleaned: list[bool] = []

        async def wait(cleaned: list[bool] = cleaned) -> int:
            try:
                await asyncio.Event().wait()
            finally:
                cleaned.append(True)
            return 0

        task = run_eagerly(wait(), told.hear, told.hear)
        assert task
        if has_begun:
            await asyncio.sleep(0)
        task.cancel()
        await told.came.wait()
        assert [type(each) for each in told.heard] == [asyncio.CancelledError]
        assert cleaned == [True]


async def test_a_task_that_is_cancelled_before_its_first_step_says_so() -> None:
    told = Told()
    run_as_task(give(3), told.hear, told.hear).cancel()
    await told.came.wait()
    assert [type(each) for each in told.heard] == [asyncio.CancelledError]


async def test_a_callback_that_breaks_down_is_an_error() -> None:
    told = Told()

    def break_down(_: int) -> None:
        raise ValueError("broke down")

    async def wait() -> int:
        await asyncio.sleep(0)
        return 4

    run_eagerly(give(4), break_down, told.hear)
    assert [str(error) for error in told.heard] == ["broke down"]
    told.came.clear()
    run_eagerly(wait(), break_down, told.hear)
    await told.came.wait()
    assert [str(error) for error in told.heard] == ["broke down"] * 2
