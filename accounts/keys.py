"""The door of identity: the only place that turns a secret, or a signed-in user, into a project.

Answers are remembered by the secret's SHA-256 and the project asked for, and forgotten at the first change of anything
they were made from (``core.changes``); a key's expiry is checked at each use.
"""

import time
from datetime import datetime

from channels.db import database_sync_to_async
from django.core.exceptions import ValidationError
from django.db import connection
from django.utils import timezone

from accounts import key_format
from accounts.auth import last_used
from accounts.auth.cache import Answer, AnswerCache, Grant
from accounts.auth.lookups import HeldKeyQuestion, KeyQuestion, ProjectPath, Question, UserQuestion
from accounts.caller import Caller
from accounts.errors import ExpiredKey, MalformedKey, MissingKey
from accounts.models import TOPIC, ApiKey, Membership, Project, Team, User
from core import changes

__all__ = ["TOPIC", "Caller", "aauthenticate", "aauthorize", "acheck", "authenticate", "authorize", "create"]

REMEMBERED_GRANTS = 10_000
REMEMBERED_REFUSALS = 10_000

_answers = AnswerCache(REMEMBERED_GRANTS, REMEMBERED_REFUSALS)


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
    if expires_at is not None and expires_at <= timezone.now():
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
    question = _key_question(secret, project_header)
    return _admit(_recall(question) or _look_up(question))


async def aauthenticate(secret: str | None, project_header: str | None) -> Caller:
    """Do as ``authenticate`` does; only a caller not seen lately costs a hop to a thread."""
    question = _key_question(secret, project_header)
    return _admit(_recall(question) or await database_sync_to_async(_look_up)(question))


def authorize(user: User, project_path: str) -> Caller:
    """Return a signed-in user as a caller in a project of his. Raises IdentityError: RoleMayNotCall for a viewer."""
    question = UserQuestion(user.pk, ProjectPath.parse(project_path))
    return _admit(_recall(question) or _look_up(question))


async def aauthorize(user_id: int, project_path: str) -> Caller:
    """Do as ``authorize`` does, by the user's id; cheap enough to ask again for each message of a socket."""
    question = UserQuestion(user_id, ProjectPath.parse(project_path))
    return _admit(_recall(question) or await database_sync_to_async(_look_up)(question))


async def acheck(caller: Caller) -> Caller:
    """Return a caller admitted earlier as he stands now. Raises IdentityError if he would not be admitted again."""
    path = ProjectPath(caller.team, caller.project)
    question: Question
    question = HeldKeyQuestion(caller.key_id, path) if caller.key_id else UserQuestion(caller.user_id, path)
    return _admit(_recall(question) or await database_sync_to_async(_look_up)(question))


def _key_question(secret: str | None, project_header: str | None) -> KeyQuestion:
    if not secret:
        raise MissingKey
    if not key_format.is_well_formed(secret):
        raise MalformedKey
    # An empty header is how some clients say "none".
    path = ProjectPath.parse(project_header) if project_header else None
    return KeyQuestion(key_format.digest(secret), path)


def _recall(question: Question) -> Answer | None:
    return _answers.get(question, changes.stamp(TOPIC))


def _look_up(question: Question) -> Answer:
    """Ask the database, unless someone else's same question was answered while this one waited for its thread."""
    stamp = changes.stamp(TOPIC)
    answer = _answers.get(question, stamp)
    if answer is None:
        answer = question.ask()
        if not connection.in_atomic_block:  # what a transaction sees may be old, or may yet be rolled back
            _answers.put(question, answer, stamp)
    return answer


def _admit(answer: Answer) -> Caller:
    if not isinstance(answer, Grant):
        raise answer
    if answer.expires_at <= time.time():
        raise ExpiredKey
    if answer.caller.key_id:
        last_used.note(answer.caller.key_id)
    return answer.caller
