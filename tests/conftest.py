"""The cast that every room's tests may use: one team, the four people around it, and a key.

``acme`` has an owner, a member and a viewer; the stranger owns ``elsewhere``.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from django.contrib.auth.hashers import make_password
from pytest_django import Settings
from whitenoise.middleware import WhiteNoiseMiddleware

from accounts import keys
from accounts.auth import last_used
from accounts.models import DEFAULT_PROJECT, Membership, Project, Team, User
from core import changes
from core.environment import caches
from core.redis import asking
from tests import runtimes  # noqa: F401 - has every Runtime hear of settings that a test changes
from tests.redis_server import RedisServer

PASSWORD = "correct horse battery"  # everyone's


@pytest.fixture(autouse=True)
def _no_thread_outlives_its_test() -> Iterator[None]:
    """End what the doors of identity started, so that nothing holds the test database or remembers its rows."""
    yield
    changes.stop()
    last_used.stop()


@pytest.fixture(autouse=True, scope="session")
def _static_files_are_listed_once() -> Iterator[None]:
    """Keep the list of static files: each test client has a middleware of its own, which would list them anew."""
    listed: dict[str, Any] = {}
    add_files = WhiteNoiseMiddleware.add_files_from_finders

    def add_listed(middleware: WhiteNoiseMiddleware) -> None:
        if not listed:
            add_files(middleware)
            listed.update(middleware.files)
        middleware.files.update(listed)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WhiteNoiseMiddleware, "add_files_from_finders", add_listed)
        yield


@pytest.fixture
def redis(settings: Settings) -> Iterator[RedisServer]:
    """A Redis, which the site is told of; it is waited for as long as a busy machine may take."""
    server = RedisServer()
    settings.REDIS_URL, settings.REDIS_SECONDS = server.url, 10.0
    settings.CACHES = caches(server.url, 10.0)
    # That of another test may have been away.
    with asking(even_if_away=True):
        pass
    yield server
    server.stop()


@pytest.fixture
def owner(db: None) -> User:
    """Who owns the team."""
    return _user("owner@example.org")


@pytest.fixture
def team(owner: User) -> Team:
    """The team ``acme``, with its default project."""
    return Team.objects.create_with_owner("acme", owner)


@pytest.fixture
def project(team: Team) -> Project:
    """The team's default project, ``acme/inference``."""
    return team.projects.select_related("team").get(slug=DEFAULT_PROJECT)


@pytest.fixture
def member(team: Team) -> User:
    """Who may call models."""
    return _member(team, "member@example.org", Membership.Role.MEMBER)


@pytest.fixture
def viewer(team: Team) -> User:
    """Who may only look."""
    return _member(team, "viewer@example.org", Membership.Role.VIEWER)


@pytest.fixture
def stranger(db: None) -> User:
    """Who has nothing to do with the team, and owns another one, ``elsewhere``."""
    user = _user("stranger@example.org")
    Team.objects.create_with_owner("elsewhere", user)
    return user


@pytest.fixture
def api_key(member: User, project: Project) -> str:
    """The secret of a key for ``acme/inference``, issued by the member."""
    return keys.create(name="tests", issuer=member, team=project.team, project=project)[1]


def _member(team: Team, email: str, role: Membership.Role) -> User:
    user = _user(email)
    team.memberships.create(user=user, role=role)
    return user


def _user(email: str) -> User:
    return User.objects.create(email=email, password=_hashed_password())


@cache
def _hashed_password() -> str:
    """Hash the password once: a third of a second for each person in each test adds up."""
    return make_password(PASSWORD)
