"""A team's people and projects, changed by its owners and admins."""

import pytest

from accounts import keys
from accounts.errors import UnknownUser
from accounts.models import Membership, Team, User
from tests.console.conftest import Browser
from tests.console.scenes import call_for_a_second

pytestmark = pytest.mark.django_db

URL = "/console/teams/acme/people"


def place(user: User) -> Membership:
    return user.memberships.get(team__slug="acme")


def test_an_owner_adds_an_existing_user_by_email(browser: Browser, owner: User, stranger: User, team: Team) -> None:
    client = browser(owner)
    assert client.post(f"{URL}/add", {"email": "Stranger@Example.org", "role": "viewer"}).status_code == 302
    assert team.role_of(stranger) == "viewer"
    again = client.post(f"{URL}/add", {"email": stranger.email, "role": "owner"})
    assert again.status_code == 400
    assert "is in this team already" in again.content.decode()
    assert team.role_of(stranger) == "viewer"


def test_nobody_is_made_by_adding_him(browser: Browser, owner: User, team: Team) -> None:
    response = browser(owner).post(f"{URL}/add", {"email": "new@example.org", "role": "member"})
    assert "Nobody here has this e-mail" in response.content.decode()
    assert not User.objects.filter(email="new@example.org").exists()


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
    client.post(f"{URL}/add", {"email": stranger.email, "role": "owner"})
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


def test_one_who_removes_himself_is_shown_no_page_he_may_not_see(
    browser: Browser, owner: User, admin: User, team: Team
) -> None:
    client = browser(admin)
    assert client.post(f"{URL}/{place(admin).pk}/remove").headers["Location"] == "/console/"
    assert b"You are in no team" in client.get("/console/").content
