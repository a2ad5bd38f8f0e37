"""Nothing is cut off or pushed out of sight: on a phone, with long names, with large numbers."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, ViewportSize, expect

from tests.browser.chat import Chat
from tests.browser.chromium import WIDE
from tests.browser.stage import FAKE_MODEL
from tests.site import Site

PHONE: ViewportSize = {"width": 360, "height": 800}
EMBEDDED_MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"
LONG_NAME = "a" * 60
SCROLLED = "boxes => boxes.filter(box => box.scrollWidth > box.clientWidth).length"


@pytest.fixture(scope="module")
def crowded(site: Site) -> Iterator[None]:
    """A key with a name that has no space to break at, and a budget."""
    site.manage("create_key", site.project, "--name", LONG_NAME)
    site.manage("set_budget", site.project, "5")
    yield
    site.manage("set_budget", site.project, "none")


@pytest.mark.usefixtures("crowded")
@pytest.mark.parametrize("place", ["", "runs", "keys", "people", "billing", "billing/ledger", "billing/alerts"])
def test_no_table_of_the_console_scrolls_sideways_on_a_phone(place: str, page: Page, chat: Chat) -> None:
    chat.ask("Hello")
    page.set_viewport_size(PHONE)
    page.goto(f"/console/teams/demo/{place}")
    tables = page.locator(".table-scroll:has(.table-stack, .table-runs):visible")
    expect(tables.first).to_be_visible()
    assert tables.evaluate_all(SCROLLED) == 0
    expect(tables.first.get_by_role("row").nth(1)).to_be_visible()


@pytest.mark.usefixtures("crowded")
def test_a_long_name_leaves_the_button_beside_it_in_sight(page: Page) -> None:
    page.goto("/console/teams/demo/keys")
    assert page.locator(".table-scroll").evaluate_all(SCROLLED) == 0


def test_the_panel_shows_whole_numbers_and_its_list_of_endpoints_whole_rows(page: Page) -> None:
    page.goto("/admin/inference/endpoint/")
    assert page.locator("#changelist .results").evaluate_all(SCROLLED) == 0
    page.goto(f"/admin/inference/model/{FAKE_MODEL.replace('/', '_2F')}/change/")
    numbers = page.locator("input[type=number]:visible")
    expect(numbers.first).to_be_visible()
    numbers.first.fill("131072")
    assert numbers.evaluate_all(SCROLLED) == 0


@pytest.mark.usefixtures("crowded")
@pytest.mark.parametrize("place", ["inference/run", "credits/entry", "accounts/apikey"])
def test_the_panels_long_lists_and_their_filters_need_no_scrolling_sideways(place: str, page: Page, chat: Chat) -> None:
    chat.ask("Hello")
    page.set_viewport_size(WIDE)
    page.goto(f"/admin/{place}/")
    expect(page.locator("#changelist-filter")).to_be_visible()
    assert page.locator("#changelist .results").evaluate_all(SCROLLED) == 0


def test_what_a_model_does_not_take_is_disabled_and_says_so(chat: Chat) -> None:
    chat.open(FAKE_MODEL)
    penalty = chat.page.get_by_role("spinbutton", name="Presence penalty")
    expect(penalty).to_be_disabled()
    expect(penalty).to_have_accessible_description("fox-1b does not take this.")
    expect(chat.page.get_by_role("button", name="JSON object")).to_be_disabled()
    chat.open(EMBEDDED_MODEL)
    expect(penalty).to_be_enabled()
    penalty.fill("1")
    penalty.blur()
    chat.page.locator(".model-button").click()
    chat.page.get_by_role("option", name="fox-1b").click()
    expect(penalty).to_be_disabled()
    expect(penalty).to_have_accessible_description("fox-1b does not take this: reset it before you send.")
    chat.page.get_by_role("button", name="Reset to the default").click()
    expect(penalty).to_have_value("0")
