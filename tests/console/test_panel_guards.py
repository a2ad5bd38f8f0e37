"""The panel holds: money is only looked at, every page keeps to its policy, permissions are heeded."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import Group
from django.db.models import Model as DatabaseModel
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from accounts import keys
from accounts.models import ApiKey, Project, Team, User
from credits import ledger
from credits.ledger.journal_file import JournalFile
from credits.models import Account, Entry, Hold
from inference.models import Endpoint, Model, Price, Run
from tests.console.scenes import Page, model, run


def rows(project: Project, member: User) -> dict[type[DatabaseModel], Any]:
    """Make a row of everything that is only looked at."""
    ledger.grant(project.team_id, 1_000_000_000, reason="start", actor="tests")
    now = timezone.now()
    return {
        Account: Account.objects.get(),
        Entry: Entry.objects.get(),
        Hold: Hold.objects.create(
            account_id=project.team_id, amount_nano=1, run="r", project="1", created_at=now, expires_at=now
        ),
        Run: run(project, member),
        Price: Price.objects.get(),
        ApiKey: keys.create(name="k", issuer=member, team=project.team)[0],
        Project: project,
    }


Enter = Callable[..., Client]


@pytest.mark.django_db(transaction=True)
def test_what_is_only_looked_at_cannot_be_changed_or_deleted_even_by_a_superuser(
    panel: Client, project: Project, member: User
) -> None:
    for kind, row in rows(project, member).items():
        name = f"admin:{kind._meta.app_label}_{kind._meta.model_name}"
        change, delete = (reverse(f"{name}_{page}", args=[row.pk]) for page in ("change", "delete"))
        assert (kind, panel.get(change).status_code) == (kind, 200)
        assert (kind, panel.post(change, {"amount_nano": "1"}).status_code) == (kind, 403)
        assert (kind, panel.post(delete, {"post": "yes"}).status_code) == (kind, 403)
        actions = {"action": "delete_selected", "_selected_action": str(row.pk), "post": "yes"}
        panel.post(reverse(f"{name}_changelist"), actions)
        assert kind._default_manager.filter(pk=row.pk).exists()
        if kind not in (ApiKey, Price, Project):
            assert (kind, panel.post(reverse(f"{name}_add"), {}).status_code) == (kind, 403)


@pytest.mark.django_db(transaction=True)
def test_every_page_of_the_panel_keeps_to_the_policy(panel: Client, project: Project, member: User) -> None:
    made = rows(project, member)
    made |= {User: member, Team: project.team, Model: model(), Group: Group.objects.create(name="clerks")}
    made[Endpoint] = Endpoint.objects.create(model=model(), kind="tgi", base_url="http://127.0.0.1:9")
    addresses = ["/admin/", "/admin/credits/post/", "/admin/accounts/apikey/add/"]
    for kind, row in made.items():
        name = f"admin:{kind._meta.app_label}_{kind._meta.model_name}"
        addresses += [reverse(f"{name}_changelist"), reverse(f"{name}_change", args=[row.pk])]
    addresses += [reverse(f"admin:{name}_add") for name in ("accounts_user", "accounts_team", "inference_price")]
    for address in addresses:
        response = panel.get(address)
        page = Page(response)
        assert (address, response.status_code, page.inline, page.foreign) == (address, 200, [], [])
        assert "unsafe" not in response.headers["Content-Security-Policy"]


@pytest.mark.django_db
def test_a_clerk_sees_only_what_his_permissions_allow(enter: Enter, project: Project, member: User) -> None:
    run(project, member)
    client = enter("view_run")
    front = client.get("/admin/").content.decode()
    assert "Today, since midnight UTC" in front
    assert "Endpoints" not in front
    assert "Teams with less than a dollar" not in front
    assert client.get(reverse("admin:inference_run_changelist")).status_code == 200
    for name in ("accounts_user", "accounts_apikey", "credits_entry", "inference_endpoint", "auth_group"):
        assert client.get(reverse(f"admin:{name}_changelist")).status_code == 403
    assert client.get("/admin/accounts/apikey/revoke/").status_code == 403


@pytest.mark.django_db
def test_the_front_page_shows_today_the_endpoints_and_who_runs_dry(
    panel: Client, member: User, project: Project
) -> None:
    run(project, member, cost_nano=2_500_000_000)
    run(project, member, ending=Run.Ending.ENGINE_ERROR, cost_nano=0)
    run(project, member, at=timezone.now() - timedelta(days=2), cost_nano=9_000_000_000)
    Endpoint.objects.create(model=model(), kind="tgi", base_url="http://127.0.0.1:9")
    response = panel.get("/admin/")
    today = response.context["today"]
    assert (today.amount.cost_nano, today.amount.requests, today.errors) == (2_500_000_000, 2, 1)
    errors = panel.get(f"/admin/inference/run/?{today.errors_query}").context["cl"].result_list
    assert [each.ending for each in errors] == [Run.Ending.ENGINE_ERROR]
    page = response.content.decode()
    assert "$2.50" in page
    assert "http://127.0.0.1:9" in page
    assert "Down" in page
    assert (project.team, 0) in response.context["low"]


@pytest.mark.django_db
def test_the_front_page_shows_what_waits_to_be_charged(panel: Client, settings: Settings, tmp_path: Path) -> None:
    settings.JOURNAL_DIR = tmp_path
    assert "wait for the database" not in panel.get("/admin/").content.decode()
    file = JournalFile.create(tmp_path / "1.journal")
    file.append([ledger.prepare_settlement(uuid4(), 5, price="1") for _ in range(3)])
    page = panel.get("/admin/")
    file.close(is_done=True)
    assert page.context["waiting"].settlements == 3
    assert "Charges that wait for the database" in page.content.decode()
