"""Cookies that a page keeps beside the session."""

from django.conf import settings
from django.http import HttpResponse


def set_own_cookie(response: HttpResponse, name: str, value: str, seconds: int, path: str = "/") -> None:
    """Set a cookie that no script reads and that no other site's page sends along."""
    response.set_cookie(
        name,
        value,
        max_age=seconds,
        path=path,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )
