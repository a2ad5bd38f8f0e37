"""Records where and when a session is used, and keeps pages that read one out of every cache."""

from typing import cast

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.deprecation import MiddlewareMixin

from accounts import sessions
from accounts.models import User
from web.client_address import client_network


class SessionUse(MiddlewareMixin):
    """Writes down that a signed-in person's session was used, for pages that looked at it, which nobody keeps."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Note the use after the page is made, when somebody may have signed in or out."""
        if request.session.accessed and "Cache-Control" not in response.headers:
            response.headers["Cache-Control"] = "private, no-store"
        if request.session.accessed and isinstance(request.user, User):
            store = cast(sessions.SessionStore, request.session)
            agent = request.headers.get("User-Agent", "")
            sessions.note_browser(store, request.user.pk, client_network(request), agent)
            sessions.note_use(store)
        return response
