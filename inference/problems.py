"""How an error of these rooms reads to whoever called, on ``/v1`` and in the browser alike: one table, one shape.

Statuses and messages follow W&B Inference's table, the shape OpenAI's; every problem links to its documentation. Each
surface adds, or overrides, what only it can answer.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec
from django.conf import settings

from accounts import errors as accounts
from credits import errors as credits
from inference import errors as inference


class Problem(msgspec.Struct, frozen=True):
    """An error as callers are told of it, with the HTTP status that says the same."""

    status: int
    code: str
    type: str
    message: str
    param: str | None = None
    retry_after_seconds: int | None = None
    # How many requests may be in flight, where that is why.
    limit: int | None = None

    @property
    def fields(self) -> dict[str, str | None]:
        """The error object in OpenAI's shape, with a link to the code's documentation."""
        return {
            "message": self.message,
            "type": self.type,
            "param": self.param,
            "code": self.code,
            "doc_url": f"{settings.PUBLIC_URL}/docs/errors#{self.code}",
        }


class Repeated(Exception):
    """A failure that was told before, to be told again in the same words."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


class Reading(NamedTuple):
    """How a kind of error reads; without a message, the error's own is shown."""

    status: int
    code: str
    type: str
    message: str = ""


Readings = Mapping[type[Exception], Reading]

INVALID: Final = "invalid_request_error"
FORBIDDEN: Final = "permission_error"
SERVER: Final = "server_error"

SERVER_ERROR: Final = Reading(500, "server_error", SERVER, "The server had an error while processing your request")

SHARED: Final[Readings] = {
    accounts.AuthenticationFailed: Reading(401, "invalid_api_key", INVALID),
    accounts.RoleMayNotCall: Reading(403, "role_may_not_call", FORBIDDEN),
    accounts.IdentityError: Reading(403, "forbidden", FORBIDDEN),
    credits.InsufficientCredits: Reading(402, "insufficient_quota", "insufficient_quota"),
    credits.LedgerUnavailable: Reading(
        503, "ledger_unavailable", SERVER, "The ledger is not reachable, please try again later"
    ),
    inference.MalformedBody: Reading(400, "malformed_body", INVALID),
    inference.UnsupportedParameter: Reading(422, "unsupported_parameter", INVALID),
    inference.InvalidRequest: Reading(422, "invalid_parameter", INVALID),
    inference.ModelNotFound: Reading(404, "model_not_found", INVALID),
    inference.ReceiptNotFound: Reading(404, "receipt_not_found", INVALID),
    inference.InferenceDisabled: Reading(403, "inference_disabled", FORBIDDEN),
    inference.ConcurrencyLimited: Reading(429, "concurrency_limit_reached", "rate_limit_error"),
    inference.ReaderLagged: Reading(408, "reader_too_slow", INVALID),
    inference.IdempotencyKeyReused: Reading(409, "idempotency_key_reused", INVALID),
    inference.EngineRefused: Reading(422, "invalid_parameter", INVALID),
    inference.ContextExceeded: Reading(422, "context_length_exceeded", INVALID),
    inference.EngineOverloaded: Reading(503, "engine_overloaded", SERVER),
    inference.EngineUnavailable: Reading(503, "engine_unavailable", SERVER),
    inference.EngineTimeout: Reading(504, "engine_timeout", SERVER),
    inference.InferenceError: Reading(500, "server_error", SERVER),
}


def read(error: Exception, readings: Readings = SHARED) -> Problem | None:
    """Return how the error reads: the closest of its classes that has a reading decides; None if none has."""
    if isinstance(error, Repeated):
        return error.problem
    for kind in type(error).__mro__:
        reading = readings.get(kind)
        if reading:
            message: str = reading.message or getattr(error, "message", "") or str(error)
            param, retry_after = getattr(error, "param", None), getattr(error, "retry_after_seconds", None)
            limit = getattr(error, "limit", None)
            return Problem(reading.status, reading.code, reading.type, message, param, retry_after, limit)
    return None
