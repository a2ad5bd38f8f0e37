"""Limits of requests at once: operators set them, owners see them."""

from collections.abc import Callable

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from accounts.models import Project, User
from inference.models import ConcurrencyLimit
from tests.console.conftest import Browser
from tests.console.scenes import read

pytestmark = pytest.mark.django_db

ADD = "/admin/inference/concurrencylimit/add/"


def test_an_operator_sets_changes_and_removes_limits(panel: Client, project: Project, member: User) -> None:
    assert panel.post(ADD, {"holder": str(project), "requests": "7"}).status_code == 302
    assert panel.post(ADD, {"holder": member.email.upper(), "requests": "3"}).status_code == 302
    of_project, of_user = ConcurrencyLimit.objects.order_by("pk")
    assert (of_project.project, of_project.user, of_project.requests) == (project, None, 7)
    assert (of_user.project, of_user.user, of_user.requests) == (None, member, 3)
    listed = read(panel.get("/admin/inference/concurrencylimit/"))
    assert f"project {project}" in listed
    assert f"user {member}" in listed
    page = f"/admin/inference/concurrencylimit/{of_user.pk}/"
    assert panel.post(f"{page}change/", {"requests": "4", "holder": str(project)}).status_code == 302
    of_user.refresh_from_db()
    assert (of_user.user, of_user.requests) == (member, 4)
    assert panel.post(f"{page}delete/", {"post": "yes"}).status_code == 302
    assert ConcurrencyLimit.objects.get() == of_project


@pytest.mark.parametrize(
    ("holder", "requests", "complaint"),
    [
        ("acme/nowhere", "7", "There is no project and no person"),
        ("nobody@example.org", "7", "There is no project and no person"),
        ("acme", "7", "There is no project and no person"),
        ("\x00@/", "7", "Null characters"),
        ("acme/inference", "0", "greater than or equal to 1"),
        ("acme/inference", "100001", "less than or equal to 100000"),
        ("acme/inference", "many", "Enter a whole number"),
    ],
)
def test_a_limit_is_refused_that_cannot_be(
    panel: Client, project: Project, holder: str, requests: str, complaint: str
) -> None:
    answer = panel.post(ADD, {"holder": holder, "requests": requests})
    assert complaint in answer.content.decode()
    assert not ConcurrencyLimit.objects.exists()


def test_there_is_one_limit_for_each(panel: Client, project: Project) -> None:
    ConcurrencyLimit.objects.create(project=project, requests=7)
    answer = panel.post(ADD, {"holder": str(project), "requests": "8"})
    assert "has a limit already" in answer.content.decode()


def test_who_only_looks_writes_nothing(enter: Callable[..., Client], project: Project) -> None:
    limit = ConcurrencyLimit.objects.create(project=project, requests=7)
    page = f"/admin/inference/concurrencylimit/{limit.pk}/change/"
    assert enter().get(page).status_code == 403
    looker = enter("view_concurrencylimit")
    assert "7" in looker.get(page).content.decode()
    assert looker.post(page, {"requests": "9"}).status_code == 403
    assert looker.get(ADD).status_code == 403


def test_an_owner_sees_the_limits_of_his_team_and_sets_none(
    browser: Browser, owner: User, member: User, project: Project, settings: Settings
) -> None:
    settings.PROJECT_CONCURRENCY, settings.USER_CONCURRENCY = 111, 122
    project.team.projects.create(slug="research")
    ConcurrencyLimit.objects.create(project=project, requests=1_234)
    ConcurrencyLimit.objects.create(user=member, requests=133)
    shown = browser(owner).get("/console/teams/acme/people").content.decode()
    for words in ("1,234 requests at once", "111 requests at once", ">122<", ">133<"):
        assert words in shown, words
    assert browser(owner).get(ADD).status_code in (302, 403)
