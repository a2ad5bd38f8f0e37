"""What an engine's error means: whose fault it is, and the sentence that a caller may read."""

import logging
import re
from typing import Any

import msgspec

from inference.engines.base import Address
from inference.errors import EngineError, EngineFailed, EngineOverloaded, EngineRefused, EngineUnavailable

logger = logging.getLogger(__name__)

MAX_MESSAGE_CHARACTERS = 500
# How much of an error's body is read.
MAX_ERROR_BYTES = 65_536

_REFUSALS = (400, 413, 422)
# A gateway in front of the engine, or the engine while it loads.
_ABSENCES = (502, 503, 504)


def error_for(address: Address, status: int, body: bytes) -> EngineError:
    """Return the error for a response that is not a success.

    Only a refusal of the request itself is told to the caller; the rest is the operator's to know.
    """
    message, param = _said(body)
    if status in _REFUSALS:
        return refusal(address, message, param)
    if status == 429:
        return EngineOverloaded()
    # The body may quote a prompt or a credential, so it stays out of the log.
    logger.warning("The %s engine at %s answered with status %d", address.kind, address.base_url, status)
    if status in _ABSENCES or (300 <= status < 500 and status not in (408, 424)):
        return EngineUnavailable()
    return EngineFailed()


def refusal(address: Address, message: str, param: str | None = None) -> EngineRefused:
    """Return the refusal of a request, with a message that keeps the engine's whereabouts to itself."""
    for secret in (address.credential, address.base_url, address.base_url.partition("://")[2]):
        if secret:
            message = message.replace(secret, "…")
    message = " ".join(re.sub(r"https?://\S+", "…", message).split())
    return EngineRefused(message[:MAX_MESSAGE_CHARACTERS], param=param)


def _said(body: bytes) -> tuple[str, str | None]:
    """Read an error's message and parameter out of any of the usual shapes."""
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return body.decode(errors="replace"), None
    return said_in(answer)


def said_in(answer: Any) -> tuple[str, str | None]:
    """Return the message and the parameter of a decoded error."""
    for _ in range(2):
        if not isinstance(answer, dict):
            break
        message = answer.get("message")
        if isinstance(message, str):
            param = answer.get("param")
            return message, param if isinstance(param, str) else None
        answer = answer.get("error", answer.get("detail"))
    return answer if isinstance(answer, str) else "", None
