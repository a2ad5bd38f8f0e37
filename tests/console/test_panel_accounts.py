"""People, teams and keys in the panel: nobody takes power, and a secret is shown once."""

import re
from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse

from accounts import keys
from accounts.errors import RevokedKey
from accounts.models import ApiKey, Project, SecondFactor, Team, User
from console.templatetags.rows import breakable
from tests.console.scenes import call_for_a_second

SECRET = re.compile(r"parley_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}")

Enter = Callable[..., Client]


@pytest.mark.django_db
def test_a_clerk_gives_nobody_power(enter: Enter, operator: User, member: User) -> None:
    client = enter("view_user", "change_user", "view_group", "change_group", "add_group")
    change = reverse("admin:accounts_user_change", args=[member.pk])
    client.post(change, {"email": member.email, "is_active": "on", "is_staff": "on", "is_superuser": "on"})
    member.refresh_from_db()
    assert (member.is_staff, member.is_superuser) == (False, False)
    own = User.objects.get(email="clerk@example.org")
    client.post(
        reverse("admin:accounts_user_change", args=[own.pk]),
        {"email": own.email, "is_active": "on", "is_superuser": "on"},
    )
    own.refresh_from_db()
    assert not own.is_superuser
    # Another operator's login and password are out of reach.
    assert (
        client.post(reverse("admin:accounts_user_change", args=[operator.pk]), {"email": "x@x.org"}).status_code == 403
    )
    password = reverse("admin:auth_user_password_change", args=[operator.pk])
    assert (
        client.post(password, {"password1": "a new long phrase", "password2": "a new long phrase"}).status_code == 403
    )
    assert client.get(reverse("admin:auth_group_add")).status_code == 403


@pytest.mark.django_db
def test_an_operator_makes_a_user_who_can_sign_in(panel: Client) -> None:
    values = {"email": "New@Example.org", "usable_password": "true"}
    password = "a new long phrase"
    panel.post(reverse("admin:accounts_user_add"), {**values, "password1": password, "password2": password})
    user = User.objects.get(email="new@example.org")
    assert user.check_password(password)
    for address in (reverse("admin:accounts_user_add"), reverse("admin:auth_user_password_change", args=[user.pk])):
        assert "Single Sign-On" not in panel.get(address).content.decode()


@pytest.mark.django_db(transaction=True)
def test_a_key_is_made_shown_once_and_revoked_within_a_second(panel: Client, member: User, project: Project) -> None:
    values = {"name": "<b>bold</b>", "project": str(project.pk), "issuer": member.email}
    response = panel.post("/admin/accounts/apikey/add/", values)
    page = response.content.decode()
    (secret,) = set(SECRET.findall(page))
    assert "&lt;b&gt;bold" in page
    assert f"Authorization: Bearer {secret}" in page
    assert "no-store" in response.headers["Cache-Control"]
    assert keys.authenticate(secret, None).path == "acme/inference"
    key = ApiKey.objects.get()
    for address in (
        reverse("admin:accounts_apikey_changelist"),
        reverse("admin:accounts_apikey_change", args=[key.pk]),
    ):
        seen = panel.get(address).content.decode()
        assert secret not in seen
        assert key.digest not in seen
    asked = panel.post(
        reverse("admin:accounts_apikey_changelist"), {"action": "revoke", "_selected_action": key.pk}, follow=True
    )
    assert "refused within a second" in asked.content.decode()
    keys.authenticate(secret, None)
    panel.post("/admin/accounts/apikey/revoke/", {"id": key.pk})
    with pytest.raises(RevokedKey):
        call_for_a_second(secret)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "fields",
    [{"issuer": "viewer@example.org"}, {"issuer": "nobody@example.org"}, {"expires_on": "2020-01-01"}, {"name": ""}],
)
def test_a_key_that_could_not_work_is_not_made(
    panel: Client, member: User, viewer: User, project: Project, fields: dict[str, str]
) -> None:
    values = {"name": "k", "project": str(project.pk), "issuer": member.email, **fields}
    assert "errornote" in panel.post("/admin/accounts/apikey/add/", values).content.decode()
    assert not ApiKey.objects.exists()


@pytest.mark.django_db
def test_keys_are_listed_with_the_zone_of_their_times_and_asked_for_as_revoked_or_not(
    panel: Client, member: User, project: Project
) -> None:
    live, revoked = (keys.create(name="k", issuer=member, team=project.team)[0] for _ in range(2))
    revoked.revoke()
    listed = reverse("admin:accounts_apikey_changelist")
    page = panel.get(listed).content.decode()
    assert f"{live.created_at:%Y-%m-%d %H:%M:%S} UTC" in page
    for answer, key in (("No", live), ("Yes", revoked)):
        (query,) = re.findall(rf'href="([^"]+)">{answer}</a>', page)
        assert list(panel.get(f"{listed}{query}").context["cl"].result_list) == [key]


def test_identifiers_may_break_between_their_parts() -> None:
    cell = breakable('<td class="a/bc"><a href="/aa/bb/">acme/inference, ada@example.org, &lt;b/&gt;, $0.25</a></td>')
    shown = "acme/<wbr>inference, ada@<wbr>example.<wbr>org, &lt;b/&gt;, $0.25"
    assert cell == f'<td class="a/bc"><a href="/aa/bb/">{shown}</a></td>'


@pytest.mark.django_db
def test_a_project_is_added_once_with_a_name_that_can_be_called(panel: Client, project: Project) -> None:
    add = reverse("admin:accounts_project_add")
    values = {"team": str(project.team_id), "slug": "reports"}
    assert panel.post(add, values).status_code == 302
    for slug in ("reports", "Not A Slug", ""):
        assert (slug, panel.post(add, values | {"slug": slug}).status_code) == (slug, 200)
    assert {str(each) for each in Project.objects.all()} == {str(project), "acme/reports"}


def team_form(*people: tuple[User, str], **fields: str) -> dict[str, str]:
    form = {
        "slug": "new-team",
        "is_enabled": "on",
        "memberships-TOTAL_FORMS": str(len(people)),
        "memberships-INITIAL_FORMS": "0",
        "projects-TOTAL_FORMS": "0",
        "projects-INITIAL_FORMS": "0",
    }
    for index, (user, role) in enumerate(people):
        form |= {f"memberships-{index}-user": str(user.pk), f"memberships-{index}-role": role}
    return form | fields


@pytest.mark.django_db
def test_a_new_team_has_an_owner_and_the_default_project(panel: Client, member: User, viewer: User) -> None:
    add = reverse("admin:accounts_team_add")
    assert "A team needs an active owner" in panel.post(add, team_form((member, "member"))).content.decode()
    assert panel.post(add, team_form((member, "owner"), (viewer, "viewer"))).status_code == 302
    team = Team.objects.get(slug="new-team")
    assert team.role_of(member) == "owner"
    assert [project.slug for project in team.projects.all()] == ["inference"]


@pytest.mark.django_db
def test_an_operator_ends_sessions_and_second_factors(panel: Client, owner: User) -> None:
    browser = Client()
    browser.force_login(owner)
    assert browser.get("/console/password").status_code == 200
    SecondFactor.objects.create(user=owner, secret="A" * 32, last_step=0)
    for action in ("sign_out", "turn_second_factor_off"):
        panel.post("/admin/accounts/user/", {"action": action, "_selected_action": [owner.pk]})
    assert browser.get("/console/password").status_code == 302
    assert not SecondFactor.objects.exists()


@pytest.mark.django_db
def test_an_operator_without_that_power_leaves_other_operators_factors_on(enter: Enter, operator: User) -> None:
    SecondFactor.objects.create(user=operator, secret="A" * 32, last_step=0)
    client = enter("view_user", "change_user")
    client.post("/admin/accounts/user/", {"action": "turn_second_factor_off", "_selected_action": [operator.pk]})
    assert SecondFactor.objects.exists()
