"""From domain nouns to the wire, for token streams and resources alike; see ``inference.problems``."""

import logging
from typing import Any

import msgspec
from django.core.exceptions import PermissionDenied
from django.db import InterfaceError, OperationalError
from django.http import Http404
from rest_framework import exceptions
from rest_framework.response import Response

from accounts.errors import MissingKey
from credits.errors import LedgerUnavailable
from inference import request_log
from inference.problems import FORBIDDEN, INVALID, SERVER_ERROR, SHARED, Problem, Reading, Readings, read

logger = logging.getLogger(__name__)


class ApiError(Problem, frozen=True):
    """A problem as the wire carries it."""

    @property
    def body(self) -> dict[str, dict[str, str | None]]:
        """The whole body of the response."""
        return {"error": self.fields}

    @property
    def headers(self) -> dict[str, str]:
        """What the response's head says about the error."""
        headers = {}
        retry_after = self.retry_after_seconds or _RETRY_AFTER.get(self.status)
        if retry_after:
            headers["retry-after"] = str(retry_after)
        if self.limit is not None:
            headers["x-ratelimit-limit-requests"] = str(self.limit)
            headers["x-ratelimit-remaining-requests"] = "0"
            headers["x-ratelimit-reset-requests"] = f"{retry_after}s"
        if self.status == 401:
            headers["www-authenticate"] = "Bearer"
        if self.status == 409:
            # The official clients try again after a conflict, which cannot help here.
            headers["x-should-retry"] = "false"
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


_METHOD_NOT_ALLOWED = Reading(405, "method_not_allowed", INVALID, "This address does not know the method")
_NOT_FOUND = Reading(404, "not_found", INVALID, "The requested resource was not found")

# The ledger's database is also that of keys, models and receipts.
_UNAVAILABLE = SHARED[LedgerUnavailable]

READINGS: Readings = {
    **SHARED,
    OperationalError: _UNAVAILABLE,
    InterfaceError: _UNAVAILABLE,
    RequestTooLarge: Reading(413, "request_too_large", INVALID, "The request body is too large"),
    MethodNotAllowed: _METHOD_NOT_ALLOWED,
    Http404: _NOT_FOUND,
    PermissionDenied: Reading(403, "forbidden", FORBIDDEN, "You may not do this"),
    exceptions.NotAuthenticated: Reading(401, "invalid_api_key", INVALID, MissingKey.message),
    exceptions.MethodNotAllowed: _METHOD_NOT_ALLOWED,
    exceptions.ParseError: Reading(400, "malformed_body", INVALID),
    exceptions.NotAcceptable: Reading(406, "not_acceptable", INVALID),
    exceptions.UnsupportedMediaType: Reading(415, "unsupported_media_type", INVALID),
    exceptions.NotFound: _NOT_FOUND,
    exceptions.PermissionDenied: Reading(403, "forbidden", FORBIDDEN),
}

# When a client may usefully try again, in seconds, where nothing better is known.
_RETRY_AFTER = {429: 1, 503: 2}


def describe(error: Exception) -> ApiError:
    """Translate any exception; one that nobody foresaw is logged and told without its internals."""
    problem = read(error, READINGS)
    if isinstance(error, (OperationalError, InterfaceError)):
        logger.error("the database does not answer: %s", error)
    if problem:
        return ApiError(*msgspec.structs.astuple(problem))
    logger.error("unforeseen error", exc_info=error)
    return ApiError(*SERVER_ERROR)


def handle_exception(error: Exception, context: dict[str, Any]) -> Response:
    """Answer for Django REST framework."""
    described = describe(error)
    line = request_log.of(getattr(context["request"], "scope", {}))
    if line:
        line.error = described.code
    return Response(described.body, status=described.status, headers=described.headers)
