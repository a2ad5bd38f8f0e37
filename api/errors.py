"""Errors of resources: what Django REST framework raises, in the words of ``web.errors``."""

from typing import Any

from rest_framework import exceptions
from rest_framework.response import Response

from accounts.errors import MissingKey
from core.errors import Failure
from web import request_log
from web.errors import MethodNotAllowed, NotFound, Problem, describe

_CODES = {
    exceptions.ParseError: "malformed_body",
    exceptions.UnsupportedMediaType: "unsupported_media_type",
    exceptions.PermissionDenied: "forbidden",
}


def handle_exception(error: Exception, context: dict[str, Any]) -> Response:
    """Answer for Django REST framework."""
    described = _described(error)
    line = request_log.of(getattr(context["request"], "scope", {}))
    if line:
        line.error = described.code
    return Response(described.body, status=described.status, headers=described.headers)


def _described(error: Exception) -> Problem:
    if isinstance(error, exceptions.NotAuthenticated):
        error = MissingKey()
    elif isinstance(error, exceptions.MethodNotAllowed):
        error = MethodNotAllowed()
    elif isinstance(error, exceptions.NotFound):
        error = NotFound()
    code = _CODES.get(type(error))
    return Problem.of(Failure(code, str(error))) if code else describe(error)
