from collections.abc import Callable

import pytest
from django.contrib.auth.models import Permission
from django.core.cache import cache
from django.test import Client

from accounts.models import Membership, Team, User
from tests.conftest import _hashed_password

Browser = Callable[[User | None], Client]


@pytest.fixture(autouse=True)
def _nobody_has_tried_to_sign_in() -> None:
    cache.clear()


@pytest.fixture
def browser() -> Browser:
    """Open a browser in which a person is signed in, or nobody."""

    def open_browser(user: User | None) -> Client:
        client = Client()
        if user is not None:
            client.force_login(user)
        return client

    return open_browser


@pytest.fixture
def admin(team: Team) -> User:
    """Who manages the team without owning it."""
    user = User.objects.create(email="admin@example.org", password=_hashed_password())
    team.memberships.create(user=user, role=Membership.Role.ADMIN)
    return user


@pytest.fixture
def operator(db: None) -> User:
    """Who may do everything in the panel."""
    return User.objects.create(
        email="operator@example.org", password=_hashed_password(), is_staff=True, is_superuser=True
    )


@pytest.fixture
def clerk(db: None) -> User:
    """Who may enter the panel, and nothing in it."""
    return User.objects.create(email="clerk@example.org", password=_hashed_password(), is_staff=True)


@pytest.fixture
def panel(browser: Browser, operator: User) -> Client:
    """The admin panel in the operator's browser."""
    return browser(operator)


@pytest.fixture
def enter(browser: Browser, clerk: User) -> Callable[..., Client]:
    """Open the panel for a clerk who has these permissions."""

    def enter_with(*permissions: str) -> Client:
        clerk.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        return browser(clerk)

    return enter_with
