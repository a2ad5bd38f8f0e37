"""From domain nouns to the wire: one table, one shape, for token streams and resources alike.

Statuses and messages follow W&B Inference's table, the body OpenAI's; every error links to its documentation.
"""

import logging
from typing import Any

import msgspec
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import Http404
from rest_framework import exceptions
from rest_framework.response import Response

from accounts.errors import AuthenticationFailed, IdentityError, MissingKey, RoleMayNotCall
from credits.errors import InsufficientCredits, LedgerUnavailable
from inference import errors as inference

logger = logging.getLogger(__name__)


class ApiError(msgspec.Struct, frozen=True):
    """An error as the wire carries it, with its HTTP status."""

    status: int
    code: str
    type: str
    message: str
    param: str | None = None
    retry_after_seconds: int | None = None

    @property
    def body(self) -> dict[str, dict[str, str | None]]:
        """The body in OpenAI's shape, with a link to the code's documentation."""
        return {
            "error": {
                "message": self.message,
                "type": self.type,
                "param": self.param,
                "code": self.code,
                "doc_url": f"{settings.PUBLIC_URL}/docs/errors#{self.code}",
            }
        }

    @property
    def headers(self) -> dict[str, str]:
        """What the response's head says about the error."""
        headers = {}
        if self.retry_after_seconds is not None:
            headers["retry-after"] = str(self.retry_after_seconds)
        if self.status == 401:
            headers["www-authenticate"] = "Bearer"
        if self.status == 405:
            # What resources allow, Django REST framework says itself.
            headers["allow"] = "POST"
        if self.status == 402:
            # Without it the official clients would not retry either; it keeps others from doing so.
            headers["x-should-retry"] = "false"
        return headers


class RequestTooLarge(Exception):
    """The body is larger than MAX_BODY_BYTES."""


class MethodNotAllowed(Exception):
    """The address knows other methods only."""


_INVALID = "invalid_request_error"

# From the special to the general: the first class that fits decides. A None message keeps the exception's own.
_TABLE: tuple[tuple[type[Exception], int, str, str, str | None], ...] = (
    (MissingKey, 401, "invalid_api_key", _INVALID, None),
    (AuthenticationFailed, 401, "invalid_api_key", _INVALID, None),
    (RoleMayNotCall, 403, "role_may_not_call", "permission_error", None),
    (IdentityError, 403, "forbidden", "permission_error", None),
    (InsufficientCredits, 402, "insufficient_quota", "insufficient_quota", None),
    (
        LedgerUnavailable,
        503,
        "ledger_unavailable",
        "server_error",
        "The ledger is not reachable, please try again later",
    ),
    (inference.MalformedBody, 400, "malformed_body", _INVALID, None),
    (inference.UnsupportedParameter, 422, "unsupported_parameter", _INVALID, None),
    (inference.InvalidRequest, 422, "invalid_parameter", _INVALID, None),
    (inference.ModelNotFound, 404, "model_not_found", _INVALID, None),
    (inference.InferenceDisabled, 403, "inference_disabled", "permission_error", None),
    (inference.ConcurrencyLimited, 429, "concurrency_limit_reached", "rate_limit_error", None),
    (inference.ReaderLagged, 408, "reader_too_slow", _INVALID, None),
    (inference.EngineRefused, 422, "invalid_parameter", _INVALID, None),
    (inference.EngineOverloaded, 503, "engine_overloaded", "server_error", None),
    (inference.EngineUnavailable, 503, "engine_unavailable", "server_error", None),
    (inference.EngineTimeout, 504, "engine_timeout", "server_error", None),
    (inference.InferenceError, 500, "server_error", "server_error", None),
    (RequestTooLarge, 413, "request_too_large", _INVALID, "The request body is too large"),
    (MethodNotAllowed, 405, "method_not_allowed", _INVALID, "This address does not know the method"),
    (Http404, 404, "not_found", _INVALID, "The requested resource was not found"),
    (PermissionDenied, 403, "forbidden", "permission_error", "You may not do this"),
    (exceptions.NotAuthenticated, 401, "invalid_api_key", _INVALID, MissingKey.message),
    (exceptions.MethodNotAllowed, 405, "method_not_allowed", _INVALID, "This address does not know the method"),
    (exceptions.ParseError, 400, "malformed_body", _INVALID, None),
    (exceptions.NotAcceptable, 406, "not_acceptable", _INVALID, None),
    (exceptions.UnsupportedMediaType, 415, "unsupported_media_type", _INVALID, None),
    (exceptions.NotFound, 404, "not_found", _INVALID, "The requested resource was not found"),
    (exceptions.PermissionDenied, 403, "forbidden", "permission_error", None),
)

# When a client may usefully try again, in seconds.
_RETRY_AFTER = {429: 1, 503: 2}


def describe(error: Exception) -> ApiError:
    """Translate any exception; one that nobody foresaw is logged and told without its internals."""
    for kind, status, code, type_, message in _TABLE:
        if isinstance(error, kind):
            sentence: str = message or getattr(error, "message", "") or str(error)
            param = getattr(error, "param", None)
            return ApiError(status, code, type_, sentence, param, _RETRY_AFTER.get(status))
    logger.error("unforeseen error", exc_info=error)
    return ApiError(500, "server_error", "server_error", "The server had an error while processing your request")


def handle_exception(error: Exception, context: dict[str, Any]) -> Response:
    """Answer for Django REST framework."""
    described = describe(error)
    return Response(described.body, status=described.status, headers=described.headers)
