"""The console's permissions as one table: who gets which answer to what."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from accounts import keys
from accounts.models import ApiKey, BrowserSession, Invitation, Membership, Project, Team, User
from core import clock
from credits.budgets import limits
from credits.models import Budget
from tests.console.conftest import Browser
from tests.console.scenes import run
from tests.console.spending import DOLLAR, grant, hold

PEOPLE = ("anonymous", "stranger", "viewer", "member", "admin", "owner", "operator")

DAY = timedelta(days=1)
INVITATIONS = "/console/teams/acme/people/invitations"

Row = tuple[str, str, tuple[object, ...]]

# What each of PEOPLE gets; "login" is a redirect to the sign-in page.
TABLE: list[Row] = [
    ("GET", "/console/", ("login", 302, 302, 302, 302, 302, 302)),
    ("GET", "/console/password", ("login", 200, 200, 200, 200, 200, 200)),
    ("GET", "/console/teams/acme/", ("login", 404, 200, 200, 200, 200, 200)),
    ("GET", "/console/teams/acme/runs", ("login", 404, 200, 200, 200, 200, 200)),
    ("GET", "/console/teams/nowhere/", ("login", 404, 404, 404, 404, 404, 404)),
    ("POST", "/console/teams/acme/", (405, 405, 405, 405, 405, 405, 405)),
    ("GET", "/console/teams/acme/keys", ("login", 404, 200, 200, 200, 200, 200)),
    ("POST", "/console/teams/acme/keys", ("login", 404, 403, 400, 400, 400, 400)),
    ("GET", "/console/teams/acme/keys/{owners_key}/revoke", ("login", 404, 404, 404, 200, 200, 200)),
    ("POST", "/console/teams/acme/keys/{owners_key}/revoke", ("login", 404, 404, 404, 302, 302, 302)),
    ("GET", "/console/teams/acme/keys/{members_key}/revoke", ("login", 404, 404, 200, 200, 200, 200)),
    ("GET", "/console/teams/acme/keys/{strangers_key}/revoke", ("login", 404, 404, 404, 404, 404, 404)),
    ("GET", "/console/teams/acme/people", ("login", 404, 403, 403, 200, 200, 200)),
    ("GET", "/console/teams/acme/people/invite", (405, 405, 405, 405, 405, 405, 405)),
    ("POST", "/console/teams/acme/people/invite", ("login", 404, 403, 403, 400, 400, 400)),
    ("POST", f"{INVITATIONS}/{{strangers_invitation}}/withdraw", ("login", 404, 403, 403, 404, 404, 404)),
    ("GET", "/console/sessions", ("login", 200, 200, 200, 200, 200, 200)),
    ("POST", "/console/sessions/{owners_session}/end", ("login", 404, 404, 404, 404, 302, 404)),
    ("POST", "/console/sessions/end-others", ("login", 302, 302, 302, 302, 302, 302)),
    ("GET", "/console/second-factor", ("login", 200, 200, 200, 200, 200, 200)),
    ("POST", "/console/second-factor", ("login", 400, 400, 400, 400, 400, 400)),
    ("POST", "/console/second-factor/change", ("login", 302, 302, 302, 302, 302, 302)),
    ("GET", "/invitation", (404, 404, 404, 404, 404, 404, 404)),
    ("GET", "/alert-address", (404, 404, 404, 404, 404, 404, 404)),
    ("POST", "/console/teams/acme/people/{viewers_place}/role", ("login", 404, 403, 403, 302, 302, 302)),
    ("POST", "/console/teams/acme/people/{strangers_place}/role", ("login", 404, 403, 403, 404, 404, 404)),
    ("GET", "/console/teams/acme/people/{viewers_place}/remove", ("login", 404, 403, 403, 200, 200, 200)),
    ("POST", "/console/teams/acme/people/{strangers_place}/remove", ("login", 404, 403, 403, 404, 404, 404)),
    ("POST", "/console/teams/acme/projects", ("login", 404, 403, 403, 400, 400, 400)),
    ("GET", "/console/teams/acme/usage.csv", ("login", 404, 200, 200, 200, 200, 200)),
    ("GET", "/console/teams/acme/receipts/{owners_run}", ("login", 404, 404, 404, 200, 200, 200)),
    ("GET", "/console/teams/acme/receipts/{members_run}", ("login", 404, 404, 200, 200, 200, 200)),
    ("GET", "/console/teams/acme/receipts/{strangers_run}", ("login", 404, 404, 404, 404, 404, 404)),
    ("GET", "/console/teams/acme/receipts/{open_run}", ("login", 404, 404, 404, 200, 200, 200)),
    ("POST", "/console/teams/acme/receipts/{owners_run}", (405, 405, 405, 405, 405, 405, 405)),
    ("GET", "/console/teams/acme/billing", ("login", 404, 200, 200, 200, 200, 200)),
    ("POST", "/console/teams/acme/billing", (405, 405, 405, 405, 405, 405, 405)),
    ("GET", "/console/teams/acme/billing/ledger", ("login", 404, 403, 403, 200, 200, 200)),
    ("GET", "/console/teams/acme/billing/ledger.csv", ("login", 404, 403, 403, 200, 200, 200)),
    ("GET", "/console/teams/acme/billing/ledger.jsonl", ("login", 404, 403, 403, 200, 200, 200)),
    ("POST", "/console/teams/acme/billing/ledger", (405, 405, 405, 405, 405, 405, 405)),
    ("GET", "/console/teams/acme/billing/budgets/add", ("login", 404, 403, 403, 200, 200, 200)),
    ("POST", "/console/teams/acme/billing/budgets/add", ("login", 404, 403, 403, 400, 400, 400)),
    ("GET", "/console/teams/acme/billing/budgets/{project_budget}", ("login", 404, 403, 403, 200, 200, 200)),
    ("GET", "/console/teams/acme/billing/budgets/{team_budget}", ("login", 404, 403, 403, 200, 200, 200)),
    ("GET", "/console/teams/acme/billing/budgets/{strangers_budget}", ("login", 404, 403, 403, 404, 404, 404)),
    ("POST", "/console/teams/acme/billing/budgets/{strangers_budget}", ("login", 404, 403, 403, 404, 404, 404)),
    ("GET", "/console/teams/acme/billing/budgets/{project_budget}/remove", ("login", 404, 403, 403, 200, 200, 200)),
    ("POST", "/console/teams/acme/billing/budgets/{team_budget}/remove", ("login", 404, 403, 403, 403, 403, 403)),
    ("POST", "/console/teams/acme/billing/budgets/{strangers_budget}/remove", ("login", 404, 403, 403, 404, 404, 404)),
    ("GET", "/console/teams/acme/billing/alerts", ("login", 404, 403, 403, 200, 200, 200)),
    ("GET", "/console/teams/acme/billing/alerts/low-balance", (405, 405, 405, 405, 405, 405, 405)),
    ("POST", "/console/teams/acme/billing/alerts/low-balance", ("login", 404, 403, 403, 400, 400, 400)),
    ("POST", "/console/teams/acme/billing/alerts/addresses", ("login", 404, 403, 403, 302, 302, 302)),
    ("POST", "/console/teams/acme/billing/alerts/own", ("login", 404, 403, 403, 302, 302, 302)),
    ("GET", "/admin/", ("login", 403, 403, 403, 403, 403, 200)),
    ("GET", "/admin/credits/post/", ("login", 403, 403, 403, 403, 403, 200)),
    ("POST", "/admin/credits/post/", ("login", 403, 403, 403, 403, 403, 400)),
    ("GET", "/admin/accounts/apikey/add/", ("login", 403, 403, 403, 403, 403, 200)),
]


@pytest.fixture
def cast(request: pytest.FixtureRequest) -> dict[str, User | None]:
    return {name: None if name == "anonymous" else request.getfixturevalue(name) for name in PEOPLE}


@pytest.fixture
def names(cast: dict[str, User | None], owner: User, member: User, stranger: User, team: Team) -> dict[str, str | int]:
    elsewhere = Team.objects.get(slug="elsewhere")
    project, foreign = team.projects.get(), elsewhere.projects.get()
    grant(team)
    limit: dict[str, Any] = {"period": "month", "limit_nano": DOLLAR}
    return {
        "owners_run": f"req_{run(project, owner).pk}",
        "members_run": f"req_{run(project, member).pk}",
        "strangers_run": f"req_{run(foreign, stranger).pk}",
        "open_run": f"req_{hold_run(project)}",
        "team_budget": limits.set_budget(team.pk, scope="team", **limit).pk,
        "project_budget": limits.set_budget(team.pk, scope="project", reference=str(project.pk), **limit).pk,
        "strangers_budget": limits.set_budget(elsewhere.pk, scope="project", reference=str(foreign.pk), **limit).pk,
        "owners_key": keys.create(name="o", issuer=owner, team=team)[0].pk,
        "members_key": keys.create(name="m", issuer=member, team=team)[0].pk,
        "strangers_key": keys.create(name="s", issuer=stranger, team=elsewhere)[0].pk,
        "viewers_place": team.memberships.get(role=Membership.Role.VIEWER).pk,
        "strangers_place": elsewhere.memberships.get().pk,
        "strangers_invitation": Invitation.objects.create(
            team=elsewhere, email="a@example.org", role="member", inviter=stranger, expires_at=clock.now() + DAY
        ).pk,
        "owners_session": BrowserSession.objects.create(session_key="x" * 32, user=owner, used_at=clock.now()).pk,
    }


@pytest.mark.django_db
@pytest.mark.parametrize("row", TABLE, ids=[f"{method} {url}" for method, url, _ in TABLE])
def test_everyone_gets_the_answer_of_the_table(
    browser: Browser, cast: dict[str, User | None], names: dict[str, str | int], row: Row
) -> None:
    method, url, answers = row
    got = tuple(_answer(browser(cast[name]), method, url.format(**names)) for name in PEOPLE)
    assert dict(zip(PEOPLE, got, strict=True)) == dict(zip(PEOPLE, answers, strict=True))


@pytest.mark.django_db
def test_another_teams_rows_stay_as_they_were(browser: Browser, owner: User, names: dict[str, str | int]) -> None:
    client, base = browser(owner), "/console/teams/acme"
    client.post(f"{base}/keys/{names['strangers_key']}/revoke")
    client.post(f"{base}/people/{names['strangers_place']}/remove")
    client.post("/console/teams/elsewhere/projects", {"slug": "mine"})
    client.post(f"{base}/billing/budgets/{names['strangers_budget']}", {"limit": "5", "alert_percents": ""})
    client.post(f"{base}/billing/budgets/{names['strangers_budget']}/remove")
    assert ApiKey.objects.get(pk=names["strangers_key"]).revoked_at is None
    assert Membership.objects.filter(pk=names["strangers_place"]).exists()
    assert not Project.objects.filter(slug="mine").exists()
    assert Budget.objects.get(pk=names["strangers_budget"]).limit_nano == DOLLAR


def hold_run(project: Project) -> str:
    """Hold credits for a run that is under way."""
    run_id = uuid4().hex
    hold(project, DOLLAR // 2, run_id=run_id)
    return run_id


def _answer(client: Client, method: str, url: str) -> object:
    response = client.generic(method, url, content_type="application/x-www-form-urlencoded")
    if response.status_code == 302 and response.headers["Location"].startswith("/admin/login/"):
        response = client.get(response.headers["Location"])
    if response.status_code == 302 and response.headers["Location"].startswith("/login?next="):
        return "login"
    return response.status_code
