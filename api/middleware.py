"""What every exchange under /v1 gets, whoever answers it: OpenAI's and Anthropic's habits, and browsers' questions."""

import time
from collections.abc import Iterable
from typing import Any, Final

from asgiref.typing import ASGI3Application, ASGIReceiveCallable, ASGISendCallable, ASGISendEvent, HTTPScope, Scope
from django.conf import settings

from core.ids import new_run_id

Headers = Iterable[tuple[bytes, bytes]]

# How long a browser need not ask again whether it may call, in seconds.
PREFLIGHT_SECONDS: Final = 600
# Answers are a caller's own, and errors of a moment: no cache on the way keeps either.
UNCACHED: Final = (b"cache-control", b"no-store")
# What a page may read of a response besides its body.
_EXPOSED: Final = b", ".join(
    [
        *(b"x-request-id", b"openai-processing-ms", b"retry-after", b"x-should-retry", b"idempotent-replayed"),
        *(b"parley-ignored", b"parley-max-tokens", b"parley-model", b"parley-stopped-by"),
        *(b"x-ratelimit-limit-requests", b"x-ratelimit-remaining-requests", b"x-ratelimit-reset-requests"),
    ]
)


class ApiMiddleware:
    """Around the whole application; what is not under /v1 passes untouched.

    A slash at the end of an address means nothing. A key may come as ``x-api-key``, as Anthropic's clients send it;
    here alone, never for pages. Pages of CORS_ORIGINS may call from a browser. ``openai-processing-ms`` tells how long
    the response took to begin. Nothing of it is for a cache to keep.
    """

    def __init__(self, application: ASGI3Application) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Serve one ASGI connection."""
        if scope["type"] != "http" or not scope["path"].startswith("/v1/"):
            await self._application(scope, receive, send)
            return
        began = time.perf_counter()
        cors = cors_headers(scope["path"], scope["headers"])
        if cors and scope["method"] == "OPTIONS" and _find(scope["headers"], b"access-control-request-method"):
            await _answer_preflight(scope, cors, send)
            return

        async def send_with_more(event: ASGISendEvent) -> None:
            if event["type"] == "http.response.start":
                took_ms = b"%d" % ((time.perf_counter() - began) * 1_000)
                more = [UNCACHED, (b"openai-processing-ms", took_ms), *cors]
                event["headers"] = [*(each for each in event["headers"] if each[0].lower() != UNCACHED[0]), *more]
            await send(event)

        await self._application(_usual(scope), receive, send_with_more)


def _usual(scope: HTTPScope) -> HTTPScope:
    """Return the request as it is usually written: no slash at the end of its address, the key in ``Authorization``."""
    changed: Any = {}
    path = scope["path"]
    if path.endswith("/") and len(path) > len("/v1/"):
        changed["path"] = path.rstrip("/")
        changed["raw_path"] = (scope.get("raw_path") or path.encode()).rstrip(b"/")
    key = _find(scope["headers"], b"x-api-key")
    if key and not _find(scope["headers"], b"authorization"):
        changed["headers"] = [*scope["headers"], (b"authorization", b"Bearer " + key)]
    return {**scope, **changed} if changed else scope


def _find(headers: Headers, wanted: bytes) -> bytes:
    return next((value for name, value in headers if name == wanted), b"")


def _allowed_origin(headers: Headers) -> bytes:
    """Return the page's origin if it may call; empty if it may not, or if this is no page."""
    if not settings.CORS_ORIGINS:
        return b""
    origin = _find(headers, b"origin")
    written = origin.decode("latin-1")
    is_listed = "*" in settings.CORS_ORIGINS or written.lower() in settings.CORS_ORIGINS
    # It is sent back as it is: nothing but what every parser takes for one word.
    return origin if is_listed and written.isascii() and written.isprintable() else b""


def cors_headers(path: str, headers: Headers) -> list[tuple[bytes, bytes]]:
    """Return what lets a page of another site read a response under /v1; nothing where it may not, or is none."""
    origin = _allowed_origin(headers) if path.startswith("/v1/") else b""
    if not origin:
        return []
    return [
        (b"access-control-allow-origin", origin),
        (b"access-control-expose-headers", _EXPOSED),
        (b"vary", b"Origin"),
    ]


async def _answer_preflight(scope: HTTPScope, cors: list[tuple[bytes, bytes]], send: ASGISendCallable) -> None:
    """Tell a browser what its page may send: whatever it wants to, for only a key opens anything."""
    headers = [
        UNCACHED,
        *cors,
        (b"access-control-allow-methods", b"GET, POST, DELETE"),
        (
            b"access-control-allow-headers",
            _find(scope["headers"], b"access-control-request-headers") or b"authorization",
        ),
        (b"access-control-max-age", b"%d" % PREFLIGHT_SECONDS),
        (b"x-request-id", b"req_" + new_run_id().encode()),
    ]
    await send({"type": "http.response.start", "status": 204, "headers": headers, "trailers": False})
    await send({"type": "http.response.body", "body": b"", "more_body": False})
