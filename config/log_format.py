"""How the log is written: readable lines, or with ``LOG_FORMAT=json`` one JSON object for each."""

import logging
from datetime import UTC, datetime
from typing import Any

import msgspec


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
        return msgspec.json.encode(entry, enc_hook=str).decode()


class RefusedHost(logging.Filter):
    """Has Django tell of a wrong Host on one line: anybody can send one, with whatever he wants to have in the log."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Leave out the host, and the way to where it was refused."""
        record.msg, record.args, record.exc_info = "A request named a host that is not in ALLOWED_HOSTS", None, None
        record.levelno, record.levelname = logging.WARNING, "WARNING"
        return True
