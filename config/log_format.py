"""How the log is written: readable lines, or with ``LOG_FORMAT=json`` one JSON object for each.

What somebody typed can neither begin a line of its own nor steer the terminal that shows the log.
"""

import json
import logging
import threading
import time
from datetime import UTC, datetime
from typing import Any, Final, TextIO

import msgspec

from core.text import escaped

# Every request has a line: written one by one, they cost more than all else that is done for the log.
JOINED_SECONDS: Final = 0.1


class JoiningHandler(logging.StreamHandler[TextIO]):
    """Writes what came in a tenth of a second in one piece; a warning, and all before it, at once."""

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__(stream)
        self._waiting: list[str] = []
        self._has_some = threading.Event()
        self._thread: threading.Thread | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Take an entry."""
        try:
            self._waiting.append(self.format(record) + self.terminator)
        except Exception:  # noqa: BLE001 - as logging's own handlers do
            self.handleError(record)
            return
        if record.levelno >= logging.WARNING:
            self.flush()
        elif not self._has_some.is_set():
            self._has_some.set()
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._work, name="log", daemon=True)
                self._thread.start()

    def flush(self) -> None:
        """Write what waits; at the end of the process, ``logging`` calls this."""
        with self.lock or threading.RLock():
            text, self._waiting = "".join(self._waiting), []
            if text and self.stream:
                self.stream.write(text)
                self.stream.flush()

    def _work(self) -> None:
        while True:
            self._has_some.wait()
            time.sleep(JOINED_SECONDS)
            self._has_some.clear()
            self.flush()


class TextFormatter(logging.Formatter):
    """Writes an entry as a readable line; of more than one line are tracebacks alone."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (logging's name)
        """Return the line."""
        return escaped(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802 (logging's name)
        """Return the traceback."""
        return escaped(super().formatException(ei), keep="\n")


class JsonFormatter(logging.Formatter):
    """Writes an entry as one JSON object; the fields of a request's line stand beside the usual ones."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the object, on one line."""
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname,
            "logger": record.name,
        }
        fields = getattr(record.msg, "fields", None)
        entry |= {"message": record.getMessage()} if fields is None else {"message": "request", **fields}
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        try:
            written = msgspec.json.encode(entry, enc_hook=str).decode()
        except UnicodeEncodeError:  # half a character
            written = ""
        # JSON leaves most of what is not seen as it is.
        return written if written.isprintable() and written else _in_ascii(entry)


def _in_ascii(entry: dict[str, Any]) -> str:
    return json.dumps(msgspec.to_builtins(entry, enc_hook=str))


class RefusedHost(logging.Filter):
    """Has Django tell of a wrong Host on one line: anybody can send one, with whatever he wants to have in the log."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Leave out the host, and the way to where it was refused."""
        record.msg, record.args, record.exc_info = "A request named a host that is not in ALLOWED_HOSTS", None, None
        record.levelno, record.levelname = logging.WARNING, "WARNING"
        return True
