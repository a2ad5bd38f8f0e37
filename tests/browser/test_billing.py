"""The team's money as its owner works with it: from an answer to its receipt, its ledger, a budget and a warning."""

import re
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Download, Page, expect

from tests.browser import accessible
from tests.browser.chat import Chat
from tests.browser.chromium import WIDE, Watch
from tests.browser.stage import FAKE_MODEL, charged_nano, words
from tests.fakes.tgi import FakeTgi
from tests.site import Site

TEAM = "/console/teams/demo"


@pytest.fixture
def project(site: Site) -> Iterator[str]:
    """A project of its own, so that no budget stands in the way of other tests."""
    slug = f"limited-{secrets.token_hex(3)}"
    site.manage("create_project", f"demo/{slug}")
    yield slug
    for period in ("day", "month"):
        site.manage("set_budget", f"demo/{slug}", "1", "--period", period)
        site.manage("set_budget", f"demo/{slug}", "none", "--period", period)


def ask(chat: Chat, project: str) -> str:
    """Have an answer in a project and return its run's id."""
    chat.open(FAKE_MODEL, f"demo/{project}")
    chat.ask("Hello")
    run: str = chat.last_stored()["run"]["run"]
    return run


def downloaded(page: Page, name: str) -> Download:
    with page.expect_download() as started:
        page.get_by_role("link", name=name).click()
    return started.value


def set_limit(page: Page, dollars: str) -> None:
    """Type a limit and save it."""
    page.get_by_label("Limit in dollars").fill(dollars)
    page.get_by_role("button", name=re.compile("^(Save|Set the budget)$")).click()


def test_an_answer_leads_to_its_receipt_and_on_into_the_ledger(
    page: Page, site: Site, chat: Chat, project: str, tmp_path: Path
) -> None:
    run = ask(chat, project)
    dollars = f"${charged_nano(site, run) / 1e9:.9f}".rstrip("0")
    chat.answer.get_by_role("link", name="Receipt").click()
    expect(page.get_by_role("heading", name="Receipt")).to_be_visible()
    expect(page.get_by_text(f"req_{run}")).to_be_visible()
    expect(page.locator(".stat", has_text="Charged")).to_contain_text(dollars)
    accessible.check(page)
    page.get_by_role("link", name=re.compile("^entry #")).click()
    expect(page.get_by_label("Request id", exact=True)).to_have_value(f"req_{run}")
    expect(page.locator(".table-ledger tbody tr")).to_have_count(1)
    expect(page.locator(".table-ledger")).to_contain_text(f"-{dollars}")
    expect(page.locator(".table-ledger")).to_contain_text(f"{project}, browser")
    table = Path(downloaded(page, "CSV of these").path()).read_text()
    assert len(table.splitlines()) == 2
    file = tmp_path / "ledger.jsonl"
    downloaded(page, "Verifiable file").save_as(file)
    assert "entries fit" in site.manage("verify_ledger", "demo", "--file", str(file))


def test_a_budget_is_set_warns_from_ninety_percent_and_can_be_raised(
    page: Page, site: Site, chat: Chat, watch: Watch, project: str
) -> None:
    spent_nano = charged_nano(site, ask(chat, project))
    page.goto(f"{TEAM}/billing/budgets/add")
    page.get_by_label("Whose spending").select_option(label=f"demo/{project}")
    set_limit(page, "a little")
    expect(page.get_by_text("Write plain dollars")).to_be_visible()
    expect(page.get_by_label("Limit in dollars")).to_have_value("a little")
    accessible.check(page)
    watch.forgive("status of 400")
    page.set_viewport_size(WIDE)
    set_limit(page, f"{spent_nano * 105 // 100 / 1e9:.9f}")
    notice = page.locator("[data-notice]", has_text=project)
    expect(notice).to_contain_text(f"95% of the monthly budget of project demo/{project} is spent")
    expect(page.locator("tr", has_text=f"Project {project}")).to_contain_text("95%")
    accessible.check(page)
    page.set_viewport_size(WIDE)

    chat.open(FAKE_MODEL, f"demo/{project}")
    expect(notice).to_be_visible()
    accessible.check(page)
    page.set_viewport_size(WIDE)
    page.get_by_label("Project").first.select_option("demo/inference")
    expect(notice).to_be_hidden()
    page.get_by_label("Project").first.select_option(f"demo/{project}")
    notice.get_by_role("link", name="Raise it").click()
    set_limit(page, "1")
    expect(page.get_by_text("The budget is changed.")).to_be_visible()
    expect(notice).to_have_count(0)


def test_a_warning_appears_beside_the_chat_that_spends(
    page: Page, site: Site, chat: Chat, tgi: FakeTgi, project: str
) -> None:
    tgi.script.answer = words(200)
    spent_nano = charged_nano(site, ask(chat, project))
    site.manage("set_budget", f"demo/{project}", f"{spent_nano * 215 // 100 / 1e9:.9f}")
    chat.open(FAKE_MODEL, f"demo/{project}")
    notice = page.locator("[data-notice]", has_text=project)
    chat.ask("Hello")
    expect(notice).to_contain_text("93% of the monthly budget")
    expect(page.locator("[data-notice]:visible")).to_have_count(1)


def test_a_warning_that_is_put_away_by_the_keyboard_stays_away(
    page: Page, site: Site, chat: Chat, project: str
) -> None:
    ask(chat, project)
    site.manage("set_budget", f"demo/{project}", "0", "--period", "day")
    page.goto(f"{TEAM}/billing")
    notice = page.locator("[data-notice]", has_text=project)
    expect(notice).to_contain_text("New requests are refused until")
    notice.get_by_role("button", name="Put this warning away").focus()
    page.keyboard.press("Enter")
    expect(notice).to_have_count(0)
    assert page.evaluate("document.activeElement.id") == "main"
    page.reload()
    expect(page.get_by_role("heading", name="Budgets")).to_be_visible()
    expect(notice).to_have_count(0)
    other = page.context.new_page()
    other.goto(f"{TEAM}/billing")
    expect(other.locator("[data-notice]", has_text=project)).to_be_visible()


def test_usage_by_key_over_custom_days(page: Page, chat: Chat, project: str, watch: Watch) -> None:
    ask(chat, project)
    page.goto(f"{TEAM}/")
    first_day = page.get_by_label("From (UTC)")
    expect(first_day).to_be_hidden()
    page.get_by_label("Grouped").select_option("By API key")
    page.get_by_label("Period").select_option("Custom days")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_text("Say with which day it begins.")).to_be_visible()
    accessible.check(page)
    watch.forgive("status of 400")
    first_day.fill(page.evaluate("new Date(Date.now() - 864e5).toISOString().slice(0, 10)"))
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_role("region", name="By API key")).to_contain_text("browser")
    expect(page.locator(".chart .chart-bar")).not_to_have_count(0)
    page.get_by_text("Day by day").click()
    accessible.check(page)
    assert len(Path(downloaded(page, "CSV").path()).read_text().splitlines()) > 1


def test_alerts_of_a_threshold_are_listed_and_people_named(
    page: Page, site: Site, chat: Chat, watch: Watch, project: str
) -> None:
    ask(chat, project)
    site.manage("set_budget", f"demo/{project}", "0.000000001", "--period", "month")
    page.goto(f"{TEAM}/billing/alerts")
    expect(page.get_by_role("region", name="Alerts, the latest first")).to_contain_text(f"100% of Project {project}")
    page.get_by_label("Other e-mail addresses").fill("nonsense")
    page.get_by_role("button", name="Save the addresses").click()
    expect(page.get_by_text("is not an e-mail address")).to_be_visible()
    expect(page.get_by_label("Other e-mail addresses")).to_have_value("nonsense")
    accessible.check(page)
    watch.forgive("status of 400")
