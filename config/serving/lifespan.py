"""The lifespan part of ASGI, for Daphne, which has none: the application is told of start and end."""

import asyncio
import logging
from typing import Any

from asgiref.typing import ASGI3Application

logger = logging.getLogger(__name__)


class Lifespan:
    """One start and one end; an application that does not know lifespan messages is left alone."""

    def __init__(self, application: ASGI3Application) -> None:
        self.state: dict[str, Any] = {}
        self._application = application
        self._inbox: asyncio.Queue[Any] = asyncio.Queue()
        self._answers: asyncio.Queue[Any] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def startup(self) -> None:
        """Wait until the application is ready. Raises RuntimeError with its reason when it cannot start."""
        scope: Any = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        self._task = asyncio.create_task(self._run(scope), name="lifespan")
        answer = await self._ask("lifespan.startup")
        if answer is not None and answer["type"] == "lifespan.startup.failed":
            raise RuntimeError(answer.get("message", "") or "The application could not start.")

    async def shutdown(self) -> None:
        """Tell the application that this is the end, and wait until it has cleaned up."""
        await self._ask("lifespan.shutdown")

    async def _ask(self, message: str) -> Any:
        """Send a message and return the answer; None from an application that takes no lifespan messages."""
        assert self._task is not None
        if self._task.done():
            return None
        self._inbox.put_nowait({"type": message})
        answer = asyncio.create_task(self._answers.get())
        await asyncio.wait({answer, self._task}, return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        answer.cancel()
        return None

    async def _run(self, scope: Any) -> None:
        try:
            await self._application(scope, self._inbox.get, self._answers.put)
        except Exception as error:  # noqa: BLE001  (the ASGI text: an exception here means "not supported")
            logger.debug("The application takes no lifespan messages: %r", error)
