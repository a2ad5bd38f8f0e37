"""Coroutines that run at once up to their first wait: most never come to one, and a task for those would be waste."""

import asyncio
import types
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, copy_context
from functools import partial
from typing import Any, Generic, TypeVar

Result = TypeVar("Result")


def run_eagerly(
    coroutine: Coroutine[Any, Any, Result],
    on_result: Callable[[Result], None],
    on_error: Callable[[BaseException], None],
) -> "asyncio.Task[None] | None":
    """Run a coroutine, and call back with its result or its error: within this call, if it need not wait.

    What ``on_result`` raises is an error too: a callback that breaks down is never lost.
    If it has to, returns the task that goes on with it; cancelled, that calls ``on_error`` with CancelledError. Until
    its first wait it is no task, so it may not enter ``asyncio.timeout`` there. Its context is its own, as a task's is.
    """
    return _Run(coroutine, on_result, on_error, copy_context()).step(partial(coroutine.send, None))


def run_as_task(
    coroutine: Coroutine[Any, Any, Result],
    on_result: Callable[[Result], None],
    on_error: Callable[[BaseException], None],
) -> "asyncio.Task[None]":
    """Run a coroutine that has to wait, and call back as ``run_eagerly`` does; return its task."""
    return _Run(coroutine, on_result, on_error, copy_context()).go_on(coroutine)


class _Run(Generic[Result]):
    """One coroutine on its way."""

    __slots__ = ("_context", "_coroutine", "_on_error", "_on_result")

    def __init__(
        self,
        coroutine: Coroutine[Any, Any, Result],
        on_result: Callable[[Result], None],
        on_error: Callable[[BaseException], None],
        context: Context,
    ) -> None:
        self._coroutine = coroutine
        self._on_result = on_result
        self._on_error = on_error
        self._context = context

    def step(self, first: Callable[[], Any]) -> "asyncio.Task[None] | None":
        """Let it run until it waits, beginning so."""
        try:
            awaited = self._context.run(first)
        except StopIteration as end:
            self._succeed(end.value)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - whoever asked decides
            self._on_error(error)
        else:
            return self.go_on(_resumed(self._coroutine, awaited))
        return None

    def go_on(self, rest: Coroutine[Any, Any, Result]) -> "asyncio.Task[None]":
        """Have a task go on with it."""
        task = asyncio.get_running_loop().create_task(self._finish(rest), context=self._context)
        task.add_done_callback(partial(self._done, rest))
        return task

    async def _finish(self, rest: Coroutine[Any, Any, Result]) -> None:
        try:
            result = await rest
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - whoever asked decides
            self._on_error(error)
        else:
            self._succeed(result)

    def _succeed(self, result: Result) -> None:
        try:
            self._on_result(result)
        except Exception as error:  # noqa: BLE001 - whoever asked decides
            self._on_error(error)

    def _done(self, rest: Coroutine[Any, Any, Result], task: "asyncio.Task[None]") -> None:
        if task.cancelled():
            # Before its first step, so the coroutine does not know of it yet.
            if rest is not self._coroutine:
                rest.close()
            self.step(partial(self._coroutine.throw, asyncio.CancelledError()))


async def _resumed(coroutine: Coroutine[Any, Any, Result], awaited: Any) -> Result:
    return await _steps(coroutine, awaited)


@types.coroutine
def _steps(coroutine: Coroutine[Any, Any, Result], awaited: Any) -> Generator[Any, Any, Result]:
    """Go on with a coroutine that waits for ``awaited``."""
    while True:
        try:
            sent = yield awaited
        except BaseException as error:  # noqa: BLE001 - it is thrown in
            try:
                awaited = coroutine.throw(error)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
        else:
            try:
                awaited = coroutine.send(sent)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
