"""Stylesheets, scripts and pictures, straight from the disk."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from whitenoise.middleware import WhiteNoiseMiddleware


class StaticFiles(WhiteNoiseMiddleware):
    """WhiteNoise for ASGI: a file's bytes at once, for a file that streams would be read whole all the same, with a
    warning in the operator's terminal."""

    @staticmethod
    def serve(static_file: Any, request: HttpRequest) -> HttpResponse:
        """Return the file, or that it has not changed."""
        found = static_file.get_response(request.method, request.META)
        content = b""
        if found.file is not None:
            with found.file:
                content = found.file.read()
        response = HttpResponse(content, status=int(found.status))
        # WhiteNoise says what it is.
        del response.headers["Content-Type"]
        for name, value in found.headers:
            response.headers[name] = value
        return response
