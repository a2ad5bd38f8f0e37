"""Why a caller is turned away: domain nouns, without a status code.

    IdentityError
    ├── AuthenticationFailed    the caller is unknown, or has no access to the project
    │   ├── MissingKey              no key was sent
    │   ├── MalformedKey            it is not a key of ours: wrong form or checksum
    │   ├── UnknownKey              it looks right, but there is none such
    │   ├── RevokedKey              its power was ended
    │   ├── ExpiredKey              its time is over
    │   ├── UnknownUser             the browser's user, or the key's issuer, is gone, inactive or no longer entitled
    │   └── ProjectOutsideScope     no such project, or not within the reach of this key or user
    └── RoleMayNotCall          a known member of the team, whose role only looks

All but MissingKey and RoleMayNotCall tell the caller the same sentence, so that nothing is learned by trying.
"""

from typing import ClassVar

from core.errors import DomainError


class IdentityError(DomainError):
    """A caller who is turned away."""

    code = "forbidden"
    sentence: ClassVar[str] = "Authentication failed"

    def __init__(self) -> None:
        super().__init__(self.sentence)


class AuthenticationFailed(IdentityError):
    """The caller is unknown, or has no access to the project."""

    code = "invalid_api_key"


class MissingKey(AuthenticationFailed):
    """No key was sent."""

    sentence = "Missing bearer authentication in header"


class MalformedKey(AuthenticationFailed):
    """The secret has not the form or the checksum of a key."""


class UnknownKey(AuthenticationFailed):
    """There is no such key."""


class RevokedKey(AuthenticationFailed):
    """The key's power was ended."""


class ExpiredKey(AuthenticationFailed):
    """The key's time is over."""


class UnknownUser(AuthenticationFailed):
    """The user is gone, inactive, or no longer entitled to the keys issued."""


class ProjectOutsideScope(AuthenticationFailed):
    """The project does not exist, or is not within reach."""


class RoleMayNotCall(IdentityError):
    """The member's role only looks."""

    code = "role_may_not_call"
    sentence = "Your role in this team may look, but not call models"
