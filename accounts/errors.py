"""Why a caller is turned away: domain nouns, without a status code.

    IdentityError
    ├── AuthenticationFailed    we do not know who calls, or he is not at home there
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


class IdentityError(Exception):
    """A caller who is turned away."""

    message: ClassVar[str] = "Authentication failed"
    """The sentence shown to the caller; it holds no internals."""

    def __init__(self) -> None:
        super().__init__(self.message)


class AuthenticationFailed(IdentityError):
    """We do not know who calls, or he is not at home there."""


class MissingKey(AuthenticationFailed):
    """No key was sent."""

    message = "Missing bearer authentication in header"


class MalformedKey(AuthenticationFailed):
    """The secret has not the form or the checksum of a key."""


class UnknownKey(AuthenticationFailed):
    """There is no such key."""


class RevokedKey(AuthenticationFailed):
    """The key's power was ended."""


class ExpiredKey(AuthenticationFailed):
    """The key's time is over."""


class UnknownUser(AuthenticationFailed):
    """The user is gone, inactive, or no longer entitled to the keys he issued."""


class ProjectOutsideScope(AuthenticationFailed):
    """The project does not exist, or is not within reach."""


class RoleMayNotCall(IdentityError):
    """The member's role only looks."""

    message = "Your role in this team may look, but not call models"
