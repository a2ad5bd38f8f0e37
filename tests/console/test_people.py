"""A team's people and projects, changed by its owners and admins."""

import re
from typing import Any

import pytest
from django.core import mail
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from accounts import keys
from accounts.errors import UnknownUser
from accounts.models import Invitation, Membership, Team, User
from core import clock
from tests.console.conftest import Browser
from tests.console.scenes import call_for_a_second, read

pytestmark = pytest.mark.django_db

URL = "/console/teams/acme/people"


def place(user: User) -> Membership:
    return user.memberships.get(team__slug="acme")


def link_in(email: str) -> str:
    """Return the link of the last invitation to an address."""
    sent = [message for message in mail.outbox if message.to == [email]]
    return str(re.findall(r"http://testserver(/invitation\?token=\S+)", str(sent[-1].body))[0])


def invite(client: Client, email: str, role: str = "member") -> Any:
    return client.post(f"{URL}/invite", {"email": email, "role": role})


def test_a_person_is_in_the_team_once_the_invitation_is_accepted(
    browser: Browser, owner: User, stranger: User, team: Team
) -> None:
    assert invite(browser(owner), "Stranger@Example.org", "viewer").status_code == 302
    assert team.role_of(stranger) is None
    link = link_in(stranger.email)
    client = browser(stranger)
    assert "Join acme" in read(client.get(link))
    # Opening it, as a mail program does, accepts nothing.
    assert team.role_of(stranger) is None
    assert client.post(link).headers["Location"] == "/console/teams/acme/"
    assert team.role_of(stranger) == "viewer"
    again = invite(browser(owner), stranger.email, "owner")
    assert again.status_code == 400
    assert "is in this team already" in again.content.decode()
    # It worked once.
    team.memberships.filter(user=stranger).delete()
    assert client.post(link).status_code == 404
    assert team.role_of(stranger) is None


def test_the_same_is_said_of_every_address(
    browser: Browser, owner: User, stranger: User, viewer: User, team: Team
) -> None:
    User.objects.filter(pk=viewer.pk).update(is_active=False)
    viewer.memberships.all().delete()
    pages = []
    for email in (stranger.email, "nobody@example.org", viewer.email):
        client = browser(owner)
        with CaptureQueriesContext(connection) as queries:
            response = invite(client, email)
        page = client.get(URL).content.decode()
        pages.append((response.status_code, page.count(email), len(queries)))
        team.invitations.all().delete()
    assert pages == [pages[0]] * 3
    assert sorted(message.to[0] for message in mail.outbox) == ["nobody@example.org", stranger.email, viewer.email]


def test_nobody_is_made_by_inviting(browser: Browser, owner: User, team: Team) -> None:
    invite(browser(owner), "new@example.org")
    assert not User.objects.filter(email="new@example.org").exists()


def test_somebody_without_an_account_makes_one_with_the_link(browser: Browser, owner: User, team: Team) -> None:
    invite(browser(owner), "New@example.org")
    link, client = link_in("new@example.org"), browser(None)
    form = {"name": "New Person", "new_password1": "a quite long phrase", "new_password2": "a quite long phrase"}
    assert client.post(link, form | {"new_password2": "another"}).status_code == 400
    assert client.post(link, form | {"new_password1": "12345678", "new_password2": "12345678"}).status_code == 400
    assert not User.objects.filter(email="new@example.org").exists()
    assert client.post(link, form).headers["Location"] == "/console/teams/acme/"
    user = User.objects.get(email="new@example.org")
    assert (user.name, user.is_staff, user.is_superuser, team.role_of(user)) == ("New Person", False, False, "member")
    assert client.get("/console/password").status_code == 200
    assert browser(None).post(link, form).status_code == 404


def test_a_site_may_leave_accounts_to_its_operators(
    browser: Browser, owner: User, team: Team, settings: Settings
) -> None:
    settings.SIGN_UP_BY_INVITATION = False
    invite(browser(owner), "new@example.org")
    page = browser(None).post(link_in("new@example.org"), {"new_password1": "x" * 12, "new_password2": "x" * 12})
    assert "Ask an operator" in read(page)
    assert not User.objects.filter(email="new@example.org").exists()


def test_an_invitation_is_for_nobody_else(
    browser: Browser, owner: User, stranger: User, member: User, team: Team
) -> None:
    invite(browser(owner), stranger.email)
    link = link_in(stranger.email)
    for user in (member, owner):
        assert "Sign out" in read(browser(user).get(link))
        browser(user).post(link)
    assert stranger not in team.members.all()
    # Whoever has an account signs in with it; a second one is not made.
    assert "Sign in to join" in read(browser(None).post(link, {"new_password1": "x" * 12, "new_password2": "x" * 12}))
    for wrong in (link + "x", link[:-1], "/invitation?token=x", "/invitation"):
        assert browser(stranger).post(wrong).status_code == 404


def test_an_invitation_ends(browser: Browser, owner: User, admin: User, stranger: User, team: Team) -> None:
    client = browser(stranger)

    def fresh_link() -> str:
        invite(browser(admin), stranger.email)
        return link_in(stranger.email)

    link = fresh_link()
    assert client.get(link).status_code == 200
    Invitation.objects.update(expires_at=clock.now())
    assert client.post(link).status_code == 404
    # Withdrawn by another manager.
    link = fresh_link()
    assert stranger.email in read(browser(owner).get(URL))
    browser(owner).post(f"{URL}/invitations/{team.invitations.get().pk}/withdraw")
    assert stranger.email not in read(browser(owner).get(URL))
    assert client.post(link).status_code == 404
    # Whoever lost the power to invite left no way in.
    link = fresh_link()
    team.memberships.filter(user=admin).update(role="member")
    assert client.post(link).status_code == 404
    assert team.role_of(stranger) is None


def test_nobody_is_flooded_with_invitations(browser: Browser, owner: User, team: Team) -> None:
    client = browser(owner)
    sent = [invite(client, f"person{number}@example.org").status_code for number in range(31)]
    assert sent == [302] * 30 + [400]
    assert len(mail.outbox) == 30


def test_the_last_owner_stays(browser: Browser, owner: User, team: Team) -> None:
    client = browser(owner)
    for action, values in (("role", {"role": "viewer"}), ("remove", {})):
        response = client.post(f"{URL}/{place(owner).pk}/{action}", values, follow=True)
        assert "A team needs an owner" in response.content.decode()
    assert team.role_of(owner) == "owner"


def test_an_admin_makes_and_unmakes_no_owner(
    browser: Browser, admin: User, member: User, stranger: User, team: Team
) -> None:
    client, owner = browser(admin), team.members.get(memberships__role="owner")
    client.post(f"{URL}/{place(member).pk}/role", {"role": "owner"})
    client.post(f"{URL}/{place(admin).pk}/role", {"role": "owner"})
    client.post(f"{URL}/{place(owner).pk}/role", {"role": "viewer"})
    client.post(f"{URL}/{place(owner).pk}/remove")
    invite(client, stranger.email, "owner")
    assert not mail.outbox
    roles = dict(team.memberships.values_list("user__email", "role"))
    assert roles == {owner.email: "owner", admin.email: "admin", member.email: "member"}


def test_an_unknown_role_is_no_role(browser: Browser, owner: User, member: User, team: Team) -> None:
    browser(owner).post(f"{URL}/{place(member).pk}/role", {"role": "emperor"})
    assert team.role_of(member) == "member"


@pytest.mark.django_db(transaction=True)
def test_the_keys_of_a_removed_member_stop(browser: Browser, owner: User, member: User, api_key: str) -> None:
    keys.authenticate(api_key, None)
    browser(owner).post(f"{URL}/{place(member).pk}/remove")
    with pytest.raises(UnknownUser):
        call_for_a_second(api_key)


def test_an_owner_makes_a_project_once(browser: Browser, owner: User, team: Team) -> None:
    client = browser(owner)
    assert client.post("/console/teams/acme/projects", {"slug": "reports"}).status_code == 302
    assert client.post("/console/teams/acme/projects", {"slug": "reports"}).status_code == 400
    assert client.post("/console/teams/acme/projects", {"slug": "../etc"}).status_code == 400
    assert sorted(team.projects.values_list("slug", flat=True)) == ["inference", "reports"]


def test_one_who_leaves_is_shown_no_page_of_the_team(browser: Browser, owner: User, admin: User, team: Team) -> None:
    client = browser(admin)
    assert client.post(f"{URL}/{place(admin).pk}/remove").headers["Location"] == "/console/"
    assert b"You are in no team" in client.get("/console/").content
