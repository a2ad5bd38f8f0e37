"""Whose receipts and usage each key may see: one table of (method, url, who, status)."""

import csv

import httpx2
import pytest

from accounts import keys
from accounts.models import ApiKey, Project, Team, User
from tests.inference.started_runs import run
from tests.patience import PATIENCE_SECONDS
from tests.server import Server

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.either_database]

INFERENCE, RESEARCH, ELSEWHERE, OWNERS = "aa" * 16, "bb" * 16, "cc" * 16, "ee" * 16
KEYS = ("nobody", "revoked", "project", "research", "team", "narrowed", "stranger", "owner")


def who_sees(run_id: str, *seeing: str) -> list[tuple[str, str, str, int]]:
    """Return the rows of the table for one run's receipt."""
    refused = {"nobody": 401, "revoked": 401}
    return [("GET", f"/v1/receipts/req_{run_id}", who, refused.get(who, 200 if who in seeing else 404)) for who in KEYS]


PERMISSIONS = [
    *who_sees(INFERENCE, "project", "team", "owner"),
    *who_sees(RESEARCH, "research", "team", "narrowed"),
    *who_sees(ELSEWHERE, "stranger"),
    *who_sees(OWNERS, "owner"),
    *who_sees("dd" * 16),
    *(
        (method, url, who, 401 if who in ("nobody", "revoked") else status)
        for url in ("/v1/receipts", f"/v1/receipts/req_{INFERENCE}", "/v1/usage")
        for who in KEYS
        for method, status in (("POST", 405), ("PUT", 405), ("PATCH", 405), ("DELETE", 405))
    ),
    *(
        (method, url, who, 401 if who in ("nobody", "revoked") else 200)
        for url in ("/v1/receipts", "/v1/usage", "/v1/usage?format=csv")
        for who in KEYS
        for method in ("GET", "HEAD")
    ),
    ("GET", "/v1/receipts/", "project", 200),
    ("GET", "/v1/usage/", "project", 200),
]

# By which projects each of them sees runs.
SEEN = {
    "project": {"acme/inference"},
    "research": {"acme/research"},
    "team": {"acme/inference", "acme/research"},
    "narrowed": {"acme/research"},
    "stranger": {"elsewhere/inference"},
    "owner": {"acme/inference"},
}


@pytest.fixture
def holders(project: Project, owner: User, member: User, stranger: User) -> dict[str, dict[str, str]]:
    """The headers that each of KEYS sends; there is a run in each of three projects."""
    team, elsewhere = project.team, Project.objects.select_related("team").get(team__slug="elsewhere")
    research = team.projects.create(slug="research")
    for each, issuer, run_id in (
        (project, member, INFERENCE),
        (research, member, RESEARCH),
        (elsewhere, stranger, ELSEWHERE),
        (project, owner, OWNERS),
    ):
        run(each, issuer, id=run_id)

    def bearer(issuer: User, where: Team, only: Project | None) -> dict[str, str]:
        return {"Authorization": f"Bearer {keys.create(name='k', issuer=issuer, team=where, project=only)[1]}"}

    revoked, whole = bearer(member, team, project), bearer(member, team, None)
    for key in ApiKey.objects.filter(project=project):
        key.revoke()
    return {
        "nobody": {},
        "revoked": revoked,
        "project": bearer(member, team, project),
        "research": bearer(member, team, research),
        "team": whole,
        "narrowed": whole | {"OpenAI-Project": "acme/research"},
        "stranger": bearer(stranger, elsewhere.team, None),
        "owner": bearer(owner, team, project),
    }


def test_who_may_ask_for_what(site: Server, holders: dict[str, dict[str, str]]) -> None:
    with httpx2.Client(base_url=site.url, timeout=PATIENCE_SECONDS) as client:
        answered = [
            (method, url, who, client.request(method, url, headers=holders[who]).status_code)
            for method, url, who, _ in PERMISSIONS
        ]
    assert answered == PERMISSIONS


def test_a_list_and_a_sum_hold_what_their_reader_may_see(site: Server, holders: dict[str, dict[str, str]]) -> None:
    with httpx2.Client(base_url=site.url, timeout=PATIENCE_SECONDS) as client:
        for who, seen in SEEN.items():
            listed = client.get("/v1/receipts", headers=holders[who]).json()["data"]
            assert {receipt["project"] for receipt in listed} == seen, who
            summed = client.get("/v1/usage?group_by=project", headers=holders[who]).json()["data"]
            assert {row["project"] for row in summed} == seen, who
            assert sum(row["requests"] for row in summed) == len(listed), who
            lines = client.get("/v1/usage?group_by=project&format=csv", headers=holders[who]).text.splitlines()
            assert {cells[0] for cells in csv.reader(lines[1:])} == seen, who
            # Another's receipt is no place to go on from.
            others = {INFERENCE, RESEARCH, ELSEWHERE, OWNERS} - {
                receipt["id"].removeprefix("req_") for receipt in listed
            }
            for run_id in others:
                assert client.get(f"/v1/receipts?after={run_id}", headers=holders[who]).status_code == 400
