"""What the playground itself refuses, and how every refusal reads in a browser: OpenAI's shape.

PlaygroundError
├── SignedOut              there is no valid session
├── NotFound               no such thing, or someone else's
├── ConversationBusy       it is being answered already
└── TooMuch                one of the bounds in ``playground.limits`` is reached
"""

from typing import Any, NamedTuple

from django.conf import settings

from accounts import errors as accounts
from credits import errors as credits
from inference import errors as inference


class PlaygroundError(Exception):
    """Something that cannot be done; the message is for the person who asked."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (self.__doc__ or "").strip())


class SignedOut(PlaygroundError):
    """You are signed out. Sign in again to go on."""


class NotFound(PlaygroundError):
    """The requested resource was not found"""


class ConversationBusy(PlaygroundError):
    """This conversation is being answered. Stop the answer first, or wait for its end."""


class TooMuch(PlaygroundError):
    """There is too much of this already."""


DOMAIN_ERRORS = (PlaygroundError, inference.InferenceError, credits.LedgerError, accounts.IdentityError)


class Reading(NamedTuple):
    """How a kind of error reads at the edge; without a message, the error's own is shown."""

    status: int
    type: str
    code: str
    message: str = ""


_INVALID = "invalid_request_error"
_LEDGER = "The ledger is not reachable, please try again later"

# The first class that fits decides. What /v1 can answer too reads the same there; a test holds both together.
_READINGS: list[tuple[type[Exception], Reading]] = [
    (SignedOut, Reading(401, "authentication_error", "signed_out")),
    (NotFound, Reading(404, _INVALID, "not_found")),
    (ConversationBusy, Reading(409, _INVALID, "conversation_busy")),
    (TooMuch, Reading(422, _INVALID, "limit_reached")),
    (accounts.RoleMayNotCall, Reading(403, "permission_error", "role_may_not_call")),
    # A browser has no key that could be wrong: it had access, and lost it.
    (accounts.IdentityError, Reading(403, "permission_error", "access_ended", "You no longer have access here")),
    (credits.InsufficientCredits, Reading(402, "insufficient_quota", "insufficient_quota")),
    (credits.LedgerUnavailable, Reading(503, "server_error", "ledger_unavailable", _LEDGER)),
    (credits.LedgerError, Reading(500, "server_error", "server_error", inference.EngineFailed().message)),
    (inference.MalformedBody, Reading(400, _INVALID, "malformed_body")),
    (inference.UnsupportedParameter, Reading(422, _INVALID, "unsupported_parameter")),
    (inference.InvalidRequest, Reading(422, _INVALID, "invalid_parameter")),
    (inference.ModelNotFound, Reading(404, _INVALID, "model_not_found")),
    (inference.InferenceDisabled, Reading(403, "permission_error", "inference_disabled")),
    (inference.ConcurrencyLimited, Reading(429, "rate_limit_error", "concurrency_limit_reached")),
    (inference.EngineRefused, Reading(422, _INVALID, "invalid_parameter")),
    (inference.EngineOverloaded, Reading(503, "server_error", "engine_overloaded")),
    (inference.EngineUnavailable, Reading(503, "server_error", "engine_unavailable")),
    (inference.EngineTimeout, Reading(504, "server_error", "engine_timeout")),
    (inference.InferenceError, Reading(500, "server_error", "server_error")),
]


def describe(error: Exception, run: str = "") -> dict[str, Any]:
    """Return the error as a browser shows it; ``run`` is the id of the run that it ended."""
    reading = _reading(error)
    return {
        "message": reading.message or getattr(error, "message", str(error)),
        "type": reading.type,
        "param": getattr(error, "param", None),
        "code": reading.code,
        "doc_url": f"{settings.PUBLIC_URL}/docs/errors#{reading.code}",
        "request_id": f"req_{run}" if run else None,
    }


def status(error: Exception) -> int:
    """Return the HTTP status that says what the error says."""
    return _reading(error).status


def _reading(error: Exception) -> Reading:
    return next(reading for kind, reading in _READINGS if isinstance(error, kind))
