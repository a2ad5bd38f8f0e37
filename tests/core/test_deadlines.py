"""Deadlines that are looked at in one sweep."""

import asyncio

from core.deadlines import Deadlines


class Late:
    """Notes when it was looked at; breaks down if it is told to."""

    def __init__(self, *, breaks: bool = False) -> None:
        self.looks: list[float] = []
        self.looked = asyncio.Event()
        self._breaks = breaks

    def check_deadline(self, now: float) -> None:
        self.looks.append(now)
        self.looked.set()
        if self._breaks:
            raise ValueError


async def test_all_are_looked_at_though_one_breaks_down() -> None:
    deadlines, first, second = Deadlines(asyncio.get_running_loop()), Late(breaks=True), Late()
    deadlines.watch(first)
    deadlines.watch(second, within=0.01)
    await second.looked.wait()
    assert first.looks == second.looks


async def test_what_is_forgotten_is_not_looked_at() -> None:
    deadlines, gone, kept = Deadlines(asyncio.get_running_loop()), Late(), Late()
    deadlines.watch(gone)
    deadlines.watch(kept, within=0.01)
    deadlines.forget(gone)
    deadlines.forget(gone)
    await kept.looked.wait()
    assert gone.looks == []


async def test_something_that_is_due_sooner_does_not_wait_for_the_sweep() -> None:
    loop = asyncio.get_running_loop()
    deadlines, usual, soon = Deadlines(loop), Late(), Late()
    began = loop.time()
    deadlines.watch(usual)
    deadlines.watch(soon, within=0.01)
    await soon.looked.wait()
    assert soon.looks[0] - began < 0.4
