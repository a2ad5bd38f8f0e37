"""What an engine's error means: whose fault it is, and the sentence that a caller may read."""

import logging
import re
from typing import Any

import msgspec

from inference.engines.base import Address
from inference.engines.events import UNREADABLE
from inference.engines.overflow import overflow
from inference.errors import (
    EngineError,
    EngineFailed,
    EngineOverloaded,
    EngineRefused,
    EngineUnavailable,
)

logger = logging.getLogger(__name__)

MAX_MESSAGE_CHARACTERS = 500
# How much of an error's body is read.
MAX_ERROR_BYTES = 65_536

_REFUSALS = (400, 413, 422)
# What servers call an error where they give no number: inside a stream, for instance.
_STATUSES = {
    **dict.fromkeys(("BadRequestError", "BadRequest", "invalid_request_error", "validation"), 400),
    **dict.fromkeys(("RateLimitError", "rate_limit_error", "rate_limit_exceeded", "overloaded"), 429),
    **dict.fromkeys(("ServiceUnavailableError", "unavailable_error"), 503),
}
# Codes of a router that does not know the model that the operator named: nothing that a caller can mend.
_UNKNOWN_MODELS = ("model_not_found", "model_not_supported")
# A gateway in front of the engine, or the engine while it loads.
_ABSENCES = (502, 503, 504)


def error_for(address: Address, status: int, body: bytes) -> EngineError:
    """Return the error for a response that is not a success.

    Only a refusal of the request itself is told to the caller; the rest is the operator's to know.
    """
    answer = decoded(body)
    message, param = said_in(answer)
    if status in _REFUSALS and _code(answer) not in _UNKNOWN_MODELS:
        return refusal(address, message, param or ("messages" if status == 413 else None), _inside(answer))
    if status == 429:
        error: EngineError = EngineOverloaded()
    elif status in (*_REFUSALS, *_ABSENCES) or (300 <= status < 500 and status not in (408, 424)):
        error = EngineUnavailable()
    else:
        error = EngineFailed()
    # The body may quote a prompt or a credential: of that, no more than a word gets out.
    error.details = f"it answered {status}{_word(answer)}"
    if status != 429:
        logger.warning("The %s engine at %s: %s", address.kind, address.base_url, error.details)
    return error


def refusal(address: Address, message: str, param: str | None = None, details: Any = None) -> EngineRefused:
    """Return the refusal of a request, with a message that keeps the engine's whereabouts to itself.

    ``details`` is the decoded error around the message.
    """
    for secret in (address.credential, address.base_url, address.base_url.partition("://")[2]):
        if secret:
            message = message.replace(secret, "…")
    message = " ".join(re.sub(r"https?://\S+", "…", message).split())[:MAX_MESSAGE_CHARACTERS]
    return overflow(message, details) or EngineRefused(message, param=param)


def status_of(error: object) -> int:
    """Return the status that an error inside a stream would have had as a response."""
    if not isinstance(error, dict):
        return 500
    for field in ("code", "status_code", "status"):
        code = error.get(field)
        if isinstance(code, str) and len(code) == 3 and code.isascii() and code.isdecimal():
            code = int(code)
        if isinstance(code, int) and 400 <= code <= 599:
            return code
    named = (error.get(field) for field in ("code", "type", "error_type"))
    return next((_STATUSES[name] for name in named if isinstance(name, str) and name in _STATUSES), 500)


def decoded(body: bytes) -> Any:
    """Return the body as JSON, or else as text."""
    try:
        return msgspec.json.decode(body)
    except UNREADABLE:
        return body.decode(errors="replace")


def first_line(body: bytes) -> str:
    """Return the beginning of an answer for a person, in one line of text that is safe to print."""
    lines = body[:MAX_MESSAGE_CHARACTERS].decode(errors="replace").split("\n")
    line = next((line.strip() for line in lines if line.strip()), "")
    return "".join(each if each.isprintable() else "\ufffd" for each in line)[:200] or "nothing"


def _inside(answer: Any) -> Any:
    """Return what is inside of a decoded error."""
    return answer.get("error", answer) if isinstance(answer, dict) else None


def _code(answer: Any) -> Any:
    """Return the code word of a decoded error."""
    inner = _inside(answer)
    return inner.get("code") if isinstance(inner, dict) else None


def _word(answer: Any) -> str:
    """Return how a decoded error calls itself, in brackets; empty where it does not, or at length."""
    told = [each for each in (_inside(answer), answer) if isinstance(each, dict)]
    words = [each.get(field) for each in told for field in ("type", "error_type", "code")]
    word = next((word for word in words if isinstance(word, str) and re.fullmatch(r"\w{1,40}", word)), "")
    return f" ({word})" if word else ""


def said_in(answer: Any) -> tuple[str, str | None]:
    """Return the message and the parameter of a decoded error, in any of the usual shapes."""
    for _ in range(2):
        if not isinstance(answer, dict):
            break
        message = answer.get("message")
        if isinstance(message, str):
            param = answer.get("param")
            return message, param if isinstance(param, str) else None
        answer = answer.get("error", answer.get("detail"))
    return answer if isinstance(answer, str) else "", None
