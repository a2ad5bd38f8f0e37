"""What a browser may do with our pages: nothing inline, nothing from or to another site, in nobody's frame.

And under which names it may call them: those in ALLOWED_HOSTS.
"""

from django.http import HttpRequest, HttpResponsePermanentRedirect
from django.http.response import HttpResponseBase
from django.middleware.common import CommonMiddleware
from django.utils.deprecation import MiddlewareMixin

_POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self'",
    "font-src": "'self'",
    "connect-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}
# A reader may click a picture in an answer to see it, and see one that is not sent yet; only there.
_CHAT_POLICY = {**_POLICY, "img-src": "'self' https: data:"}

_SWITCHED_OFF = ("camera", "microphone", "geolocation", "payment", "usb", "serial", "hid", "midi")
_PERMISSIONS = ", ".join(f"{feature}=()" for feature in _SWITCHED_OFF)


def _written(policy: dict[str, str]) -> str:
    return "; ".join(f"{directive} {sources}" for directive, sources in policy.items())


class PagePolicy(MiddlewareMixin):
    """Puts ``Content-Security-Policy`` and ``Permissions-Policy`` on every response that passes Django."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Set both headers; a view cannot widen them."""
        match = request.resolver_match
        is_chat = match is not None and match.url_name == "playground"
        response.headers["Content-Security-Policy"] = _written(_CHAT_POLICY if is_chat else _POLICY)
        response.headers["Permissions-Policy"] = _PERMISSIONS
        return response


class PageHosts(CommonMiddleware):
    """Django's, which refuses hosts that are not ours, but for the API.

    A program calls the API by whatever name it has where the program runs: a container's, a tunnel's. Nothing there
    depends on the name, and no page of another site can call it without a key.
    """

    def process_request(self, request: HttpRequest) -> HttpResponsePermanentRedirect | None:
        """Raise DisallowedHost for a page that is asked for by a name that is not ours."""
        return None if request.path_info.startswith("/v1/") else super().process_request(request)
