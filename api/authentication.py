"""Bearer keys for resources; the token streams ask ``accounts.keys`` directly."""

from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from accounts.caller import Caller
from accounts.keys import authenticate
from web import request_log
from web.bearer import bearer_secret


class CallerUser:
    """What Django REST framework calls a user, for a caller who holds a key."""

    is_authenticated = True

    def __init__(self, caller: Caller) -> None:
        self.caller = caller


class BearerAuthentication(BaseAuthentication):
    """``Authorization: Bearer KEY`` with an optional ``OpenAI-Project: team/project``; nothing else opens /v1."""

    def authenticate(self, request: Request) -> tuple[CallerUser, None]:
        """Return the caller. Raises IdentityError."""
        secret = bearer_secret(request.headers.get("Authorization", ""))
        caller = authenticate(secret, request.headers.get("OpenAI-Project"))
        line = request_log.of(getattr(request, "scope", {}))
        if line:
            line.caller = caller
        return CallerUser(caller), None

    def authenticate_header(self, request: Request) -> str:
        """Say which scheme would have been right."""
        return "Bearer"
