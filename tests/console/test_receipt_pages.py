"""A run's receipt in the console: everything about it, for whoever may see the run."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from django.utils.text import capfirst

from accounts import keys
from accounts.models import Project, Team, User
from console.templatetags.runs import cost_sum
from credits.money import format_dollars
from inference.models import Price, Run
from tests.console.conftest import Browser
from tests.console.scenes import run
from tests.console.spending import DOLLAR, grant, hold, release, spend

pytestmark = [pytest.mark.django_db, pytest.mark.either_database]

URL = "/console/teams/acme/receipts"


def test_a_receipt_says_all_of_it(browser: Browser, owner: User, member: User, team: Team, project: Project) -> None:
    grant(team)
    key, _ = keys.create(name="nightly", issuer=member, team=team)
    ran = spend(
        project,
        member,
        12_340,
        held_nano=DOLLAR,
        key=key.pk,
        cached_tokens=3,
        generated_tokens=6,
        ending=Run.Ending.OUT_OF_CREDITS,
        error="InsufficientCredits",
        limited_by="the daily budget of the project",
        clamped_to=640,
        counting=Run.Counting.TOKENIZER,
    )
    page = browser(owner).get(f"{URL}/req_{ran.pk}").content.decode()
    for words in (
        f"req_{ran.pk}",
        "$0.00001234",
        "$1.00",
        "$0.99998766",
        "fable/fox-1b",
        f"#{ran.price_id}, from",
        "acme/inference",
        "nightly",
        "member@example.org",
        "Credits ran out",
        "/docs/errors#insufficient_quota",
        "what was left of the daily budget of the project did not cover more",
        "at most 640 tokens",
        "Counted by the engine&#x27;s tokenizer over the delivered text",
        "$0.22",
        "$0.11",
        "entry #2",
    ):
        assert words in page, words


def test_a_receipt_shows_the_sum_that_its_cost_is(
    browser: Browser, owner: User, member: User, team: Team, project: Project
) -> None:
    grant(team)
    # Of ten prompt tokens three from a cache, and five delivered: seven and three and five thousandths, rounded up.
    price = run(project, member).price
    parts = (7 * price.input_microcredits_per_mtok, 3 * price.cached_input_microcredits_per_mtok)
    cost_nano = -(-(sum(parts) + 5 * price.output_microcredits_per_mtok) // 1_000)
    ran = spend(project, member, cost_nano, held_nano=DOLLAR, cached_tokens=3)
    page = browser(owner).get(f"{URL}/req_{ran.pk}").content.decode()
    assert f"7 \u00d7 $0.22/M + 3 \u00d7 $0.11/M + 5 \u00d7 $0.22/M = {format_dollars(cost_nano)}" in page
    other = spend(project, member, cost_nano + 1, held_nano=DOLLAR, cached_tokens=3)
    assert "/M =" not in browser(owner).get(f"{URL}/req_{other.pk}").content.decode()


def test_a_whole_price_is_written_without_cents_in_the_sum() -> None:
    dollar = 1_000_000
    price = Price(
        input_microcredits_per_mtok=dollar,
        output_microcredits_per_mtok=dollar,
        cached_input_microcredits_per_mtok=dollar,
    )
    assert cost_sum(Run(prompt_tokens=8, delivered_tokens=214, cost_nano=222_000, price=price)) == (
        "8 \u00d7 $1/M + 214 \u00d7 $1/M = $0.000222"
    )


def test_a_receipt_tells_what_happened_from_hold_to_end(
    browser: Browser, owner: User, member: User, team: Team, project: Project
) -> None:
    grant(team)
    began = timezone.now()
    times: dict[str, Any] = {
        "first_token_at": began + timedelta(milliseconds=250),
        "ended_at": began + timedelta(seconds=2),
    }
    ran = spend(project, member, 12_340, held_nano=DOLLAR, at=began, **times)
    page = browser(owner).get(f"{URL}/req_{ran.pk}").content.decode()
    told = {"0 ms": "Begun, with at most $1.00 held", "250 ms": "First token"}
    told["2.0 s"] = "Ended: $0.00001234 charged, $0.99998766 given back"
    for time, words in told.items():
        assert f'<span class="number">{time}</span> {words}</li>' in page
    assert 'class="timeline-wait" width="90"' in page
    silent = spend(project, member, 5, at=began, ended_at=times["ended_at"])
    page = browser(owner).get(f"{URL}/req_{silent.pk}").content.decode()
    assert "First token</li>" not in page
    assert 'class="timeline-wait" width="720"' in page


def test_a_request_without_a_receipt_is_told_of_as_one_that_is_anothers(
    browser: Browser, owner: User, member: User, team: Team, project: Project
) -> None:
    grant(team)
    ran = spend(project, owner, DOLLAR)
    refused = browser(owner).get(f"{URL}/req_{'0' * 32}")
    assert refused.status_code == 404
    assert "refused before it held credits" in refused.content.decode()
    unknown, anothers = (browser(member).get(f"{URL}/req_{run}") for run in ("0" * 32, ran.pk))
    assert (unknown.status_code, anothers.status_code) == (404, 404)
    assert anothers.content.decode().count("nothing was charged") == 1
    assert "$" not in anothers.content.decode()


def test_a_receipt_is_found_by_each_name_of_its_run(
    browser: Browser, member: User, team: Team, project: Project
) -> None:
    grant(team)
    ran = spend(project, member, DOLLAR)
    for prefix in ("req_", "chatcmpl-", ""):
        page = browser(member).get(f"{URL}/{prefix}{ran.pk}")
        assert page.status_code == 200
        # What a member may not read is not linked either.
        assert "entry #" not in page.content.decode()
    for nonsense in ("req_", "req_xyz", f"req_{ran.pk[:-1]}", "%00", f"REQ_{ran.pk}"):
        assert browser(member).get(f"{URL}/{nonsense}").status_code == 404


@pytest.mark.parametrize("ending", Run.Ending.values)
def test_every_ending_has_words(browser: Browser, owner: User, project: Project, member: User, ending: str) -> None:
    grant(project.team)
    ran = spend(project, member, 5, ending=ending)
    assert capfirst(Run.Ending(ending).label) in browser(owner).get(f"{URL}/req_{ran.pk}").content.decode()


@pytest.mark.parametrize("ending", Run.ENGINE_ENDINGS)
def test_an_ending_is_called_what_the_playground_calls_it(ending: Run.Ending) -> None:
    assert f'{ending.value}: "{ending.label}",' in Path("frontend/src/i18n/en.ts").read_text()


def test_a_run_under_way_shows_what_is_held(browser: Browser, owner: User, team: Team, project: Project) -> None:
    grant(team)
    run_id = "0123456789abcdef" * 2
    hold(project, DOLLAR * 3, run_id=run_id)
    page = browser(owner).get(f"{URL}/req_{run_id}").content.decode()
    assert "under way" in page
    assert "$3.00" in page


def test_a_run_whose_process_was_killed_says_that_it_cost_nothing(
    browser: Browser, owner: User, member: User, team: Team, project: Project
) -> None:
    grant(team)
    run_id = "0123456789abcdef" * 2
    release(hold(project, DOLLAR * 3, run_id=run_id))
    page = browser(owner).get(f"{URL}/req_{run_id}").content.decode()
    assert "This run was lost" in page
    assert "Nothing was charged" in page
    assert browser(member).get(f"{URL}/req_{run_id}").status_code == 404


def test_a_free_run_says_that_nothing_was_charged(
    browser: Browser, owner: User, member: User, team: Team, project: Project
) -> None:
    grant(team)
    ran = spend(project, member, 0, held_nano=DOLLAR)
    page = browser(owner).get(f"{URL}/req_{ran.pk}").content.decode()
    assert "no entry: nothing was charged" in page
