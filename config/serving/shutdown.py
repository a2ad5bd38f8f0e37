"""How a server shuts down, whichever it is: answers end by themselves, or are ended and told so, or are cut."""

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

from django.conf import settings

from config import lifecycle
from config.serving.connections import Connections

logger = logging.getLogger(__name__)

# Together with SHUTDOWN_SECONDS twice they are less than ``worker.stop_seconds``.
# For ended runs to be charged and written down, and for their subscribers to hear of it; less after a second signal.
END_RUNS_SECONDS: Final = 4.0
HURRIED_SECONDS: Final = 1.0
# For clients to close their sockets, too; for the last bytes to be taken; for requests to end once their clients are
# gone; for what is cancelled.
CLOSE_SECONDS: Final = 0.5
FLUSH_SECONDS: Final = 1.0
HANG_UP_SECONDS: Final = 0.3
CANCEL_SECONDS: Final = 0.5
# For the application to clean up, beyond the SHUTDOWN_SECONDS that an e-mail under way may take.
CLEANING_SECONDS: Final = 3.0
LOOK_SECONDS: Final = 0.02


class Draining(ABC):
    """What both servers do when they are told to end and take no new connections any more."""

    clients: Connections
    # Whether the patience was taken away.
    is_hurried = False

    @abstractmethod
    def running(self) -> set[asyncio.Task[None]]:
        """Return the application's tasks, one for each request and each WebSocket that is open."""

    async def drain(self) -> None:
        """Give what is under way SHUTDOWN_SECONDS; then end every run and let subscribers hear so; then cut."""
        lifecycle.leave()
        self.clients.shut_down(sockets=False)
        await wait_while(lambda: self.is_busy() and not self.is_hurried, settings.SHUTDOWN_SECONDS)
        with suppress(TimeoutError):
            async with asyncio.timeout(HURRIED_SECONDS if self.is_hurried else END_RUNS_SECONDS):
                # Again and again: a request that had come may begin its run only now.
                while self.is_busy():
                    await lifecycle.end_runs()
                    await asyncio.sleep(LOOK_SECONDS)
        self.clients.shut_down(sockets=True)
        await wait_while(self.running, CLOSE_SECONDS)
        if tasks := self.running():
            logger.warning("Cancelling %d requests that did not end in time", len(tasks))
        else:
            await wait_while(lambda: self.clients, FLUSH_SECONDS)
        # First, since an application that is cancelled while its client is there would have to answer something.
        self.clients.abort()
        await wait_while(self.running, HANG_UP_SECONDS)
        await cancel(self.running())

    @asynccontextmanager
    async def cleaning_up(self) -> AsyncIterator[None]:
        """Leave the block, in which the application is told of the end, in bounded time."""
        try:
            async with asyncio.timeout(settings.SHUTDOWN_SECONDS + CLEANING_SECONDS):
                yield
        except TimeoutError:
            logger.error("The application did not clean up in time")

    def is_busy(self) -> bool:
        """Whether a request is under way, or a run."""
        return bool(self.running()) or lifecycle.has_runs()


async def cancel(tasks: set[asyncio.Task[None]]) -> None:
    """End what did not end by itself."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=CANCEL_SECONDS)


async def wait_while(condition: Callable[[], object], seconds: float) -> None:
    """Return when the condition does not hold any more, or when the time is over."""
    give_up_at = time.monotonic() + seconds
    while condition() and time.monotonic() < give_up_at:  # noqa: ASYNC110 - nobody tells of tasks and connections that are gone
        await asyncio.sleep(LOOK_SECONDS)
