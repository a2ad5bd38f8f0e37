"""Budgets, plans and alerts in the panel: operators only, by the ledger's doors, with the panel's history."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts import keys
from accounts.models import Membership, Team, User
from credits.budgets import limits
from credits.models import NANO, Account, Alert, Budget, Entry, Plan
from tests.console.scenes import Page, read
from tests.credits.scenes import spend

pytestmark = [pytest.mark.either_database, pytest.mark.django_db(transaction=True)]

ADD = "/admin/credits/budget/add/"
GIVE = "/admin/credits/plan/give/"
POST = "/admin/credits/post/"


@pytest.fixture
def operator(db: None) -> User:
    """Who may do everything in the panel."""
    return User.objects.create(email="operator@example.org", is_staff=True, is_superuser=True)


@pytest.fixture
def panel(operator: User) -> Client:
    """The panel in the operator's browser."""
    client = Client()
    client.force_login(operator)
    return client


Enter = Callable[..., Client]


@pytest.fixture
def enter(db: None) -> Enter:
    """Open the panel for a clerk who has these permissions."""
    clerk = User.objects.create(email="clerk@example.org", is_staff=True)

    def enter_with(*permissions: str) -> Client:
        clerk.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        client = Client()
        client.force_login(clerk)
        return client

    return enter_with


def new(**fields: str) -> dict[str, str]:
    """Fill in the form for a new budget."""
    return {"owner": "analysts", "period": "month", "limit": "5", "alerts_at": "50, 100", **fields}


def change(budget: Budget) -> str:
    """Return the address of a budget's page."""
    return reverse("admin:credits_budget_change", args=[budget.pk])


def history() -> list[str]:
    """Return what the panel remembers, the latest first."""
    return [entry.get_change_message() for entry in LogEntry.objects.order_by("-pk")]


def test_a_budget_is_set_changed_and_removed_and_the_history_says_so(panel: Client, team: Team) -> None:
    spend(team.pk, NANO)
    assert panel.post(ADD, new()).status_code == 302
    budget = Budget.objects.get()
    assert (budget.limit_nano, budget.spent_nano, budget.alert_percents) == (5 * NANO, NANO, "50,100")
    assert history() == ["Limit: none → 5.00. Alerts at %: none → 50, 100."]
    page = panel.get(change(budget)).content.decode()
    for seen in ("team analysts", "$1.00", "$4.00", "20%", "-01 00:00:00 UTC"):
        assert seen in page
    assert panel.post(change(budget), {"limit": "7.50", "alerts_at": "50,100"}).status_code == 302
    budget.refresh_from_db()
    assert (budget.limit_nano, budget.spent_nano) == (7_500_000_000, NANO)
    assert history()[0] == "Limit: 5.00 → 7.50."
    delete = reverse("admin:credits_budget_delete", args=[budget.pk])
    assert "team analysts: $7.50 (Month)" in panel.get(delete).content.decode()
    assert panel.post(delete, {"post": "yes"}).status_code == 302
    assert not Budget.objects.exists()
    assert history()[0] == "Removed: team analysts, $7.50 (Month)."
    assert "Removed: team analysts" in panel.get(reverse("admin:admin_logentry_changelist")).content.decode()


def test_a_budget_is_set_for_a_project_or_a_key(panel: Client, team: Team) -> None:
    issuer = User.objects.create(email="ada@example.org")
    team.memberships.create(user=issuer, role=Membership.Role.OWNER)
    project = team.projects.create(slug="research")
    key, _ = keys.create(name="nightly", issuer=issuer, team=team)
    for owner in ("analysts/research", key.pk):
        assert panel.post(ADD, new(owner=owner, period="day")).status_code == 302
    places = set(Budget.objects.values_list("scope", "reference"))
    assert places == {("project", str(project.pk)), ("key", key.pk)}
    listed = read(panel.get(reverse("admin:credits_budget_changelist")))
    assert "project analysts/research" in listed
    assert f"key parley_{key.pk}… (nightly)" in listed


@pytest.mark.parametrize(
    "fields",
    [
        {"owner": "nobody"},
        {"owner": "analysts/nothing"},
        {"owner": ""},
        {"owner": "a\x00b"},
        {"owner": "x" * 200},
        {"period": "century"},
        {"limit": ""},
        {"limit": "-1"},
        {"limit": "NaN"},
        {"limit": "inf"},
        {"limit": "1e9"},
        {"limit": "1,000"},
        {"limit": "1000000001"},
        {"limit": "9" * 40},
        {"limit": "0.0000000001"},
        {"limit": "True"},
        {"alerts_at": "0"},
        {"alerts_at": "101"},
        {"alerts_at": "50.5"},
        {"alerts_at": "NaN"},
        {"alerts_at": ",".join(map(str, range(1, 101)))},
    ],
)
def test_a_budget_that_cannot_be_meant_is_not_set(panel: Client, team: Team, fields: dict[str, str]) -> None:
    assert "errornote" in panel.post(ADD, new(**fields)).content.decode()
    assert not Budget.objects.exists()
    assert history() == []


def test_a_second_budget_of_the_same_kind_is_refused_on_the_way_in(panel: Client, team: Team) -> None:
    panel.post(ADD, new())
    assert "There is such a budget already" in panel.post(ADD, new(limit="9")).content.decode()
    assert Budget.objects.get().limit_nano == 5 * NANO


def test_a_budget_of_nothing_is_shown_without_dividing_by_it(panel: Client, team: Team) -> None:
    panel.post(ADD, new(limit="0"))
    budget = Budget.objects.get()
    for address in (change(budget), reverse("admin:credits_budget_changelist")):
        assert "100%" in panel.get(address).content.decode()


def test_the_cap_of_a_plan_is_looked_at_here_and_changed_with_its_plan(panel: Client, team: Team) -> None:
    plan = limits.save_plan("free", monthly_grant_nano=0, monthly_cap_nano=3 * NANO)
    limits.set_plan(team.pk, plan.pk)
    cap = Budget.objects.get()
    assert "$3.00" in panel.get(change(cap)).content.decode()
    assert panel.post(change(cap), {"limit": "9", "alerts_at": ""}).status_code == 403
    assert panel.post(reverse("admin:credits_budget_delete", args=[cap.pk]), {"post": "yes"}).status_code == 403
    cap.refresh_from_db()
    assert cap.limit_nano == 3 * NANO
    page = reverse("admin:credits_plan_change", args=[plan.pk])
    assert "analysts" in panel.get(page).content.decode()
    inline = {"accounts-TOTAL_FORMS": "0", "accounts-INITIAL_FORMS": "0"}
    assert panel.post(page, {"name": "free", "grant": "1", "cap": "4.25", **inline}).status_code == 302
    cap.refresh_from_db()
    assert cap.limit_nano == 4_250_000_000
    assert history()[0] == "Grant: 0.00 → 1.00. Cap: 3.00 → 4.25."


def test_plans_are_made_and_given(panel: Client, team: Team) -> None:
    newcomer = Team.objects.create(slug="newcomer")
    values = {"name": "free", "grant": "2", "cap": ""}
    assert panel.post(reverse("admin:credits_plan_add"), values).status_code == 302
    plan = Plan.objects.get()
    assert (plan.monthly_grant_nano, plan.monthly_cap_nano) == (2 * NANO, None)
    for _ in range(2):
        assert panel.post(GIVE, {"team": str(newcomer.pk), "plan": str(plan.pk)}).status_code == 302
    account = Account.objects.get(team=newcomer)
    assert (account.plan, account.balance_nano, account.entry_count) == (plan, 2 * NANO, 1)
    assert history()[:2] == ["Plan: free → free.", "Plan: none → free."]
    chosen = panel.get(f"{GIVE}?team={newcomer.pk}").content.decode()
    assert f'<option value="{plan.pk}" selected>free</option>' in chosen
    panel.post(GIVE, {"team": str(newcomer.pk), "plan": ""})
    account.refresh_from_db()
    assert account.plan is None
    assert panel.post(reverse("admin:credits_plan_delete", args=[plan.pk]), {"post": "yes"}).status_code == 403


@pytest.mark.parametrize(
    "fields",
    [
        {"name": ""},
        {"name": "two\nlines"},
        {"name": "taken"},
        {"grant": ""},
        {"grant": "-1"},
        {"grant": "NaN"},
        {"grant": "1000000001"},
        {"cap": "-0.01"},
        {"cap": "Infinity"},
        {"cap": "9" * 30},
    ],
)
def test_a_plan_that_cannot_be_meant_is_not_made(panel: Client, team: Team, fields: dict[str, str]) -> None:
    limits.save_plan("taken", monthly_grant_nano=0, monthly_cap_nano=None)
    values = {"name": "free", "grant": "2", "cap": "3", **fields}
    assert "errornote" in panel.post(reverse("admin:credits_plan_add"), values).content.decode()
    assert Plan.objects.count() == 1


@pytest.mark.parametrize("fields", [{"team": "x"}, {"team": "999999"}, {"plan": "999999"}, {"plan": "x"}])
def test_a_plan_or_a_team_that_is_not_there_cannot_be_given(panel: Client, team: Team, fields: dict[str, str]) -> None:
    assert "errornote" in panel.post(GIVE, {"team": str(team.pk), "plan": "", **fields}).content.decode()
    assert panel.get(f"{GIVE}?team=%00{'9' * 40}").status_code == 200


def test_an_alert_is_only_looked_at(panel: Client, team: Team) -> None:
    budget = limits.set_budget(team.pk, scope="team", period="day", limit_nano=2 * NANO, alert_percents=[50])
    spend(team.pk, NANO)
    alert = Alert.objects.get()
    Alert.objects.update(sent_at=timezone.now(), sent_to="ada@example.org", error="", attempts=3)
    listed = read(panel.get(reverse("admin:credits_alert_changelist")))
    for seen in ("50% of the day budget of team", "$2.00", "$1.00", "ada@example.org"):
        assert seen in listed
    page = reverse("admin:credits_alert_change", args=[alert.pk])
    assert panel.get(page).status_code == 200
    assert panel.post(page, {"sent_to": "x"}).status_code == 403
    assert panel.post(reverse("admin:credits_alert_delete", args=[alert.pk]), {"post": "yes"}).status_code == 403
    assert panel.post(reverse("admin:credits_alert_add"), {}).status_code == 403
    assert Budget.objects.get() == budget


def test_only_those_with_the_permission_set_limits(enter: Enter, team: Team) -> None:
    budget = limits.set_budget(team.pk, scope="team", period="day", limit_nano=2 * NANO)
    plan = limits.save_plan("free", monthly_grant_nano=NANO, monthly_cap_nano=None)
    delete = reverse("admin:credits_budget_delete", args=[budget.pk])
    plan_page = reverse("admin:credits_plan_change", args=[plan.pk])
    looking = enter("view_budget", "view_plan", "view_account", "view_alert")
    for address in (change(budget), plan_page, reverse("admin:credits_alert_changelist")):
        assert (address, looking.get(address).status_code) == (address, 200)
    writes: list[tuple[str, dict[str, Any]]] = [
        (ADD, new()),
        (change(budget), {"limit": "9"}),
        (delete, {"post": "yes"}),
        (plan_page, {"name": "free", "grant": "9"}),
        (reverse("admin:credits_plan_add"), {"name": "x", "grant": "9"}),
        (GIVE, {"team": str(team.pk), "plan": str(plan.pk)}),
    ]
    for address, values in writes:
        assert (address, looking.post(address, values).status_code) == (address, 403)
    nobody = Client()
    nobody.force_login(User.objects.create(email="member@example.org"))
    for address, values in writes:
        assert nobody.post(address, values).status_code in (302, 403)
    assert Budget.objects.get().limit_nano == 2 * NANO
    assert Plan.objects.get().monthly_grant_nano == NANO
    assert Account.objects.get().plan is None


def test_every_page_keeps_to_the_policy(panel: Client, team: Team) -> None:
    plan = limits.save_plan("free", monthly_grant_nano=NANO, monthly_cap_nano=NANO)
    limits.set_plan(team.pk, plan.pk)
    limits.set_budget(team.pk, scope="team", period="day", limit_nano=2 * NANO, alert_percents=[50])
    spend(team.pk, NANO)
    rows = {"plan": plan, "budget": Budget.objects.get(origin="set"), "alert": Alert.objects.first()}
    addresses = [ADD, GIVE, reverse("admin:credits_plan_add"), reverse("admin:admin_logentry_changelist")]
    for name, row in rows.items():
        assert row
        addresses.append(reverse(f"admin:credits_{name}_changelist"))
        addresses.append(reverse(f"admin:credits_{name}_change", args=[row.pk]))
    addresses.append(reverse("admin:credits_budget_delete", args=[rows["budget"].pk]))  # type: ignore[union-attr]
    addresses.append(reverse("admin:credits_account_change", args=[team.pk]))
    for address in addresses:
        response = panel.get(address)
        page = Page(response)
        assert (address, response.status_code, page.inline, page.foreign) == (address, 200, [], [])


def test_a_correction_is_an_opposite_entry_and_two_clicks_make_one(panel: Client, operator: User, team: Team) -> None:
    wrong = Entry.objects.get()
    ticket = Page(panel.get(POST)).values["ticket"]
    values = {
        "team": str(team.pk),
        "kind": "correction",
        "amount": "-10",
        "reason": f"entry {wrong.sequence} was a slip",
        "ticket": ticket,
    }
    clients = [Client() for _ in range(4)]
    for client in clients:
        client.force_login(operator)

    def click(client: Client) -> int:
        try:
            return client.post(POST, values).status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(click, clients)) == {302}
    first, second = Entry.objects.order_by("sequence")
    assert first == wrong
    assert (second.kind, second.amount_nano, second.balance_after_nano) == ("correction", -wrong.amount_nano, 0)
    assert second.actor == operator.email
