"""How an error reads over HTTP: the one table from our codes to statuses, and one shape, OpenAI's.

Domain errors know their code and their sentence (``core.errors``); the status and the type stand here alone. Statuses
are OpenAI's, but where a site has chosen W&B Inference's (``SITE_STATUSES``). Every problem links to its documentation,
``docs/errors.md``.
"""

import logging
from typing import Final, NamedTuple

import msgspec
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import InterfaceError, OperationalError
from django.http import Http404

from core.errors import SERVER_ERROR, DomainError, Failure, failure_of
from credits.errors import LedgerUnavailable

logger = logging.getLogger(__name__)

INVALID: Final = "invalid_request_error"
FORBIDDEN: Final = "permission_error"
SERVER: Final = "server_error"


class Meaning(NamedTuple):
    """What a code is over HTTP."""

    status: int
    type: str


MEANINGS: Final = {
    "bad_request": Meaning(400, INVALID),
    "malformed_body": Meaning(400, INVALID),
    "context_length_exceeded": Meaning(400, INVALID),
    "invalid_parameter": Meaning(400, INVALID),
    "unsupported_parameter": Meaning(400, INVALID),
    "invalid_api_key": Meaning(401, INVALID),
    "signed_out": Meaning(401, "authentication_error"),
    "insufficient_quota": Meaning(402, "insufficient_quota"),
    "access_ended": Meaning(403, FORBIDDEN),
    "forbidden": Meaning(403, FORBIDDEN),
    "inference_disabled": Meaning(403, FORBIDDEN),
    "role_may_not_call": Meaning(403, FORBIDDEN),
    "model_not_found": Meaning(404, INVALID),
    "not_found": Meaning(404, INVALID),
    "receipt_not_found": Meaning(404, INVALID),
    "method_not_allowed": Meaning(405, INVALID),
    "reader_too_slow": Meaning(408, INVALID),
    "conversation_busy": Meaning(409, INVALID),
    "conversation_changed": Meaning(409, INVALID),
    "idempotency_key_reused": Meaning(409, INVALID),
    "request_too_large": Meaning(413, INVALID),
    "unsupported_media_type": Meaning(415, INVALID),
    "limit_reached": Meaning(422, INVALID),
    "concurrency_limit_reached": Meaning(429, "rate_limit_error"),
    "server_error": Meaning(500, SERVER),
    "answer_not_saved": Meaning(500, SERVER),
    "engine_overloaded": Meaning(503, SERVER),
    "engine_unavailable": Meaning(503, SERVER),
    "ledger_unavailable": Meaning(503, SERVER),
    "restarting": Meaning(503, SERVER),
    "too_many_connections": Meaning(503, SERVER),
    "engine_timeout": Meaning(504, SERVER),
}

# Which setting says with what status a code is told.
SITE_STATUSES: Final = {
    "context_length_exceeded": "VALIDATION_STATUS",
    "invalid_parameter": "VALIDATION_STATUS",
    "unsupported_parameter": "VALIDATION_STATUS",
    "insufficient_quota": "QUOTA_STATUS",
}
# What trying the same again cannot help: a conflict, and credits that have ended.
_FINAL: Final = ("conversation_busy", "idempotency_key_reused", "insufficient_quota")
# When a client may usefully try again, in seconds, where nothing better is known.
_RETRY_AFTER: Final = {
    "concurrency_limit_reached": 1,
    **dict.fromkeys(("engine_overloaded", "engine_unavailable", "ledger_unavailable", "too_many_connections"), 2),
}
# Clients do not wait longer than this: the AI SDK falls back to its own pace, the openai package gives up.
MAX_RETRY_AFTER_SECONDS: Final = 60


class WebError(DomainError):
    """What only an HTTP surface refuses."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (self.__doc__ or "").strip())


class BadRequest(WebError):
    """The request is not valid HTTP."""

    code = "bad_request"


class Forbidden(WebError):
    """You may not do this"""

    code = "forbidden"


class NotFound(WebError):
    """The requested resource was not found"""

    code = "not_found"


class MethodNotAllowed(WebError):
    """This address does not know the method"""

    code = "method_not_allowed"


class UnsupportedMediaType(WebError):
    """Requests are JSON"""

    code = "unsupported_media_type"


class RequestTooLarge(WebError):
    """The request body is too large"""

    code = "request_too_large"


class TooManyConnections(WebError):
    """Too many connections are open"""

    code = "too_many_connections"


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
    # How long prompt and answer would be, and how long they may be, where that is why; in tokens.
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    context_tokens: int | None = None

    @classmethod
    def of(cls, failure: Failure) -> "Problem":
        """Add what a failure's code means."""
        meaning = meaning_of(failure.code)
        return cls(
            meaning.status,
            failure.code,
            meaning.type,
            failure.message,
            failure.param,
            failure.retry_after_seconds,
            failure.limit,
            failure.prompt_tokens,
            failure.completion_tokens,
            failure.context_tokens,
        )

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

    @property
    def body(self) -> dict[str, dict[str, str | None]]:
        """The whole body of the response."""
        return {"error": self.fields}

    @property
    def headers(self) -> dict[str, str]:
        """What the response's head says about the error."""
        headers = {}
        retry_after = min(self.retry_after_seconds or _RETRY_AFTER.get(self.code, 0), MAX_RETRY_AFTER_SECONDS)
        if retry_after:
            headers["retry-after"] = str(retry_after)
        if self.limit is not None and retry_after:
            headers["x-ratelimit-limit-requests"] = str(self.limit)
            headers["x-ratelimit-remaining-requests"] = "0"
            headers["x-ratelimit-reset-requests"] = f"{retry_after}s"
        if self.status == 401:
            headers["www-authenticate"] = "Bearer"
        if self.code in _FINAL:
            # The official clients would try again after a 409 or a 429.
            headers["x-should-retry"] = "false"
        if self.status == 405:
            # What resources allow, Django REST framework says itself.
            headers["allow"] = "POST"
        return headers


def meaning_of(code: str) -> Meaning:
    """Return what a code is over HTTP on this site."""
    meaning = MEANINGS[code]
    setting = SITE_STATUSES.get(code)
    return Meaning(getattr(settings, setting), meaning.type) if setting else meaning


def describe(error: Exception) -> Problem:
    """Translate any exception; one that nobody foresaw is logged and told without its internals."""
    failure = failure_of(_translated(error))
    if failure is None:
        logger.error("unforeseen error", exc_info=error)
    return Problem.of(failure or SERVER_ERROR)


def status_of(error: Exception) -> int:
    """Return the HTTP status that says what an error says."""
    return meaning_of((failure_of(error) or SERVER_ERROR).code).status


def error_body(problem: Problem) -> bytes:
    """Write the body of a failed request."""
    return msgspec.json.encode(problem.body)


def _translated(error: Exception) -> Exception:
    """Turn Django's own errors into ours; the ledger's database is also that of keys, models and receipts."""
    if isinstance(error, (OperationalError, InterfaceError)):
        logger.error("the database does not answer: %s", error)
        return LedgerUnavailable("the database does not answer")
    if isinstance(error, Http404):
        return NotFound()
    return Forbidden() if isinstance(error, PermissionDenied) else error
