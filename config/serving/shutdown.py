"""How a server ends, whichever it is: answers end by themselves, then they are ended and told so, then they are cut."""

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

from django.conf import settings

from config import lifecycle

logger = logging.getLogger(__name__)

# Together with SHUTDOWN_SECONDS twice they are less than ``worker.stop_seconds``.
# For ended runs to be charged and written down, and for their readers to hear of it; less for whoever is in a hurry.
LAST_WORDS_SECONDS: Final = 4.0
HURRIED_SECONDS: Final = 1.0
# For whoever hears that his socket is closed, to close it too; for what is cancelled; for the last bytes to be taken.
GOODBYE_SECONDS: Final = 0.5
CANCEL_SECONDS: Final = 0.5
FLUSH_SECONDS: Final = 1
# For the application to clean up, beyond the SHUTDOWN_SECONDS that an e-mail under way may take.
CLEANING_SECONDS: Final = 3.0
LOOK_SECONDS: Final = 0.02


class Ending(ABC):
    """What both servers do when they are told to end, for those who take no new connections any more."""

    # Whether the patience was taken away.
    is_hurried = False

    @abstractmethod
    def running(self) -> set[asyncio.Task[None]]:
        """Return the application's tasks, one for each request and each socket that is open."""

    @abstractmethod
    def close_sockets(self) -> None:
        """Ask whoever still has a socket to come back later."""

    async def see_out(self) -> None:
        """Give what is under way SHUTDOWN_SECONDS; then end every run and let its readers hear so; then cancel."""
        lifecycle.leave()
        await wait_while(lambda: self._is_busy() and not self.is_hurried, settings.SHUTDOWN_SECONDS)
        with suppress(TimeoutError):
            async with asyncio.timeout(HURRIED_SECONDS if self.is_hurried else LAST_WORDS_SECONDS):
                # Again and again: a request that had come may begin its run only now.
                while self._is_busy():
                    await lifecycle.end_runs()
                    await asyncio.sleep(LOOK_SECONDS)
        self.close_sockets()
        await wait_while(self.running, GOODBYE_SECONDS)
        if tasks := self.running():
            logger.warning("Cancelling %d requests that did not end in time", len(tasks))
            await self.cancel(tasks)

    async def cancel(self, tasks: set[asyncio.Task[None]]) -> None:
        """End what did not end by itself."""
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=CANCEL_SECONDS)

    @asynccontextmanager
    async def cleaning_up(self) -> AsyncIterator[None]:
        """Leave the block, in which the application is told of the end, in bounded time."""
        try:
            async with asyncio.timeout(settings.SHUTDOWN_SECONDS + CLEANING_SECONDS):
                yield
        except TimeoutError:
            logger.error("The application did not clean up in time")

    def _is_busy(self) -> bool:
        return bool(self.running()) or lifecycle.has_runs()


async def wait_while(condition: Callable[[], object], seconds: float) -> None:
    """Return when the condition does not hold any more, or when the time is over."""
    give_up_at = time.monotonic() + seconds
    while condition() and time.monotonic() < give_up_at:  # noqa: ASYNC110 - nobody tells of tasks and connections that are gone
        await asyncio.sleep(LOOK_SECONDS)
