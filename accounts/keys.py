"""The door of identity: the only place that turns a secret, or a signed-in user, into a project.

What the database says is kept in the auth cache, by the secret's SHA-256 and the project asked for, until anything that
it was read from changes (``core.changes``); a key's expiry is checked at each use.
"""

import math
from datetime import datetime

from channels.db import database_sync_to_async
from django.core.exceptions import ValidationError
from django.db import connection

from accounts import key_format
from accounts.auth import last_used
from accounts.auth.cache import AuthCache, Grant, Outcome
from accounts.auth.lookups import HeldKeyLookup, KeyLookup, Lookup, ProjectPath, UserLookup
from accounts.caller import Caller
from accounts.errors import ExpiredKey, MalformedKey, MissingKey
from accounts.models import TOPIC, ApiKey, Membership, Project, Team, User
from core import changes, clock

__all__ = ["TOPIC", "Caller", "aauthenticate", "aauthorize", "acheck", "authenticate", "authorize", "create"]

REMEMBERED_GRANTS = 10_000
REMEMBERED_REFUSALS = 10_000

_auth_cache = AuthCache(REMEMBERED_GRANTS, REMEMBERED_REFUSALS)


def create(
    *,
    name: str,
    issuer: User,
    team: Team,
    project: Project | None = None,
    expires_at: datetime | None = None,
) -> tuple[ApiKey, str]:
    """Make a key that speaks for its issuer, in one project or in the whole team; return it and its secret.

    The secret is not kept and cannot be shown again. Raises ValidationError.
    """
    if project is not None and project.team_id != team.pk:
        raise ValidationError({"project": f"The project {project} does not belong to the team {team}."})
    if expires_at is not None and expires_at <= clock.now():
        raise ValidationError({"expires_at": "A key must expire in the future."})
    if "\0" in name or not name.strip():
        raise ValidationError({"name": "Give the key a name."})
    if not issuer.is_active or team.role_of(issuer) not in Membership.CALLING_ROLES:
        raise ValidationError({"issuer": f"{issuer} may not call models in the team {team}."})
    key_id, secret = key_format.generate()
    key = ApiKey(
        id=key_id,
        digest=key_format.digest(secret),
        name=name.strip(),
        issuer=issuer,
        team=team,
        project=project,
        expires_at=expires_at,
    )
    key.full_clean()
    key.save(force_insert=True)
    return key, secret


def authenticate(secret: str | None, project_header: str | None) -> Caller:
    """Return who holds the secret, calling in the project that ``OpenAI-Project`` names, or in the key's own.

    Raises a subclass of AuthenticationFailed. A missing or mistyped secret costs no query.
    """
    lookup = _key_lookup(secret, project_header)
    return _admit(_recall(lookup) or _look_up(lookup))


async def aauthenticate(secret: str | None, project_header: str | None) -> Caller:
    """Return what ``authenticate`` does; only a caller not seen lately costs a hop to a thread."""
    lookup = _key_lookup(secret, project_header)
    return _admit(_recall(lookup) or await database_sync_to_async(_look_up)(lookup))


def authorize(user: User, project_path: str) -> Caller:
    """Return a signed-in user as a caller in a project. Raises IdentityError: RoleMayNotCall for a viewer."""
    lookup = UserLookup(user.pk, ProjectPath.parse(project_path))
    return _admit(_recall(lookup) or _look_up(lookup))


async def aauthorize(user_id: int, project_path: str) -> Caller:
    """Return what ``authorize`` does, by the user's id; cheap enough for each message of a socket."""
    lookup = UserLookup(user_id, ProjectPath.parse(project_path))
    return _admit(_recall(lookup) or await database_sync_to_async(_look_up)(lookup))


async def acheck(caller: Caller) -> Caller:
    """Return a caller admitted earlier with what is true now. Raises IdentityError for one who is admitted no more."""
    path = ProjectPath(caller.team, caller.project)
    lookup: Lookup
    lookup = HeldKeyLookup(caller.key_id, path) if caller.key_id else UserLookup(caller.user_id, path)
    return _admit(_recall(lookup) or await database_sync_to_async(_look_up)(lookup))


def _key_lookup(secret: str | None, project_header: str | None) -> KeyLookup:
    if not secret:
        raise MissingKey
    if not key_format.is_well_formed(secret):
        raise MalformedKey
    # An empty header is how some clients say "none".
    path = ProjectPath.parse(project_header) if project_header else None
    return KeyLookup(key_format.digest(secret), path)


def _recall(lookup: Lookup) -> Outcome | None:
    return _auth_cache.get(lookup, changes.stamp(TOPIC))


def _look_up(lookup: Lookup) -> Outcome:
    """Read the database, unless the same look-up was made while this one waited for its thread."""
    stamp = changes.stamp(TOPIC)
    outcome = _auth_cache.get(lookup, stamp)
    if outcome is None:
        outcome = lookup.run()
        if not connection.in_atomic_block:  # what a transaction sees may be old, or may yet be rolled back
            _auth_cache.put(lookup, outcome, stamp)
        if isinstance(outcome, Grant) and outcome.expires_at < math.inf:
            # What runs by then is checked again, as after any change.
            changes.announce_at(TOPIC, outcome.expires_at)
    return outcome


def _admit(outcome: Outcome) -> Caller:
    if not isinstance(outcome, Grant):
        raise outcome
    if outcome.expires_at <= clock.timestamp():
        raise ExpiredKey
    if outcome.caller.key_id:
        last_used.note(outcome.caller.key_id)
    return outcome.caller
