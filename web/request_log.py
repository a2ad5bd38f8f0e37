"""One line in the log for each request: who asked for what, and what became of it.

There is never a prompt in it, an answer, a secret or a query string; a model is named only if the catalogue has it.
Each room adds what it knows to the ``RequestLine`` in ``scope["request_line"]``. A request that began a run is written
down once the run is settled, with its tokens and its cost.
"""

import logging
import re
from collections.abc import Mapping
from time import perf_counter
from typing import Any, Final
from urllib.parse import quote
from uuid import uuid4

from accounts import key_format
from accounts.caller import Caller
from core import ids
from core.errors import code_of
from inference.runs.run import Run
from inference.runs.spine import LiveRun
from web.errors import status_of

logger = logging.getLogger("parley.requests")

# What a proxy calls a client that went away before it was answered.
CLIENT_GONE: Final = 499
MAX_PATH_LENGTH: Final = 200
# What asks every few seconds, or comes with every page: logged at DEBUG.
_QUIET: Final = ("/static/", "/metrics", "/healthz", "/readyz")
_SECRET: Final = re.compile(rf"({key_format.PREFIX}\w{{{key_format.ID_LENGTH}}})_\w+")


class RequestLine:
    """What is known of one request so far; ``request_id`` is 32 hexadecimal digits."""

    __slots__ = (
        "_began_at",
        "_method",
        "_path",
        "_run",
        "_run_id",
        "_seconds",
        "caller",
        "error",
        "request_id",
        "status",
        "user_id",
    )

    def __init__(self, request_id: str, method: str, path: str) -> None:
        self.request_id = request_id
        self.caller: Caller | None = None
        # Who asks, where that is known of somebody who is no caller.
        self.user_id: int | None = None
        # The code of the error that it was answered with, as docs/errors.md has it.
        self.error = ""
        self._method, self._path = method, path
        self._began_at = perf_counter()
        self.status = CLIENT_GONE
        self._seconds = 0.0
        self._run_id = ""
        self._run: LiveRun | None = None

    def answered_by(self, run: Run) -> None:
        """Name the run that answers: its own, or an earlier one whose answer is repeated."""
        self._run_id = run.id
        if isinstance(run, LiveRun) and run.id == self.request_id:
            self._run, self.caller = run, run.caller

    def end(self, status: int | None) -> None:
        """Write the line, now or when the run is settled; without a status, nothing was answered."""
        self.status = status or CLIENT_GONE
        self._seconds = perf_counter() - self._began_at
        if self._run is None:
            self._write()
        else:
            self._run.when_ended(self._write)

    @property
    def fields(self) -> dict[str, str | int | float | bool]:
        """Everything that is known, by name; amounts in nano-credits, times in seconds."""
        known: dict[str, str | int | float | bool | None] = {
            "request_id": ids.request_id(self.request_id),
            "run_id": self._run_id or None,
            "method": self._method[:16],
            "path": _plain(self._path),
            "status": self.status,
            "seconds": round(self._seconds, 6),
            "error": self.error or None,
            "user_id": self.user_id,
        }
        if self.caller:
            known |= {
                "project_id": self.caller.project_id,
                "key_id": self.caller.key_id or None,
                "user_id": self.caller.user_id,
            }
        if self._run:
            known |= _outcome(self._run)
        elif self._run_id:
            known["replayed"] = True
        return {name: value for name, value in known.items() if value is not None}

    def __str__(self) -> str:
        fields = self.fields
        head = " ".join(str(fields.pop(name)) for name in ("method", "path", "status"))
        return " ".join([head, *(f"{name}={value}" for name, value in fields.items())])

    def _write(self) -> None:
        level = logging.DEBUG if self._path.startswith(_QUIET) else logging.INFO
        if not logger.isEnabledFor(level):
            return
        if self._run and not self.error:
            self.error = code_of(self._run.buffer.error)
        # Nobody asks from where in the code it was written, which takes long to find out.
        logger.handle(logger.makeRecord(logger.name, level, __file__, 0, self, (), None))


def of(scope: Mapping[str, Any]) -> RequestLine | None:
    """Return the line of an exchange; None where there is none, as in a test's own client."""
    return scope.get("request_line")


def socket_run(run: LiveRun, path: str) -> None:
    """Write the line of a settled run that was asked for on a WebSocket, with the status that HTTP would have had."""
    line = RequestLine(run.id, "WS", path)
    line.answered_by(run)
    error = run.buffer.error if run.receipt.first_token_at is None else None
    line.end(status_of(error) if error else 200)


def socket_refusal(path: str, user_id: int, error: str, status: int) -> None:
    """Write the line of what was asked for on a WebSocket and never became a run; ``error`` is the problem's code."""
    line = RequestLine(uuid4().hex, "WS", path)
    line.user_id, line.error = user_id, error
    line.end(status)


def _outcome(run: LiveRun) -> dict[str, str | int | float | bool | None]:
    receipt, usage, meter = run.receipt, run.receipt.usage, run.meter
    return {
        "model": meter.model or None,
        "ending": meter.ending,
        "endpoint_id": receipt.endpoint_id,
        "prompt_tokens": usage.prompt_tokens,
        "cached_tokens": usage.cached_tokens,
        "generated_tokens": receipt.generated_tokens,
        "delivered_tokens": usage.completion_tokens,
        "cost_nano": receipt.cost_nano,
        "queue_seconds": _rounded(meter.queue_seconds),
        "first_token_seconds": _rounded(receipt.first_token_seconds),
        "run_seconds": _rounded(meter.seconds),
        "streamed": receipt.streamed,
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 6)


def _plain(path: str) -> str:
    """Return a path on one line, of bounded length, and without a key that someone put into it."""
    return quote(_SECRET.sub(r"\1_…", path)[:MAX_PATH_LENGTH], safe="/:@!$&'()*+,;=~", errors="replace")
