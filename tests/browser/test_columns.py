"""Models side by side: one prompt for all or one for each, and what each answer took."""

import re

from playwright.sync_api import Locator, Page, ViewportSize, expect

from tests.browser import accessible
from tests.browser.chat import Chat
from tests.browser.chromium import WIDE
from tests.browser.stage import asked, long_script
from tests.fakes.tgi import FakeTgi
from tests.patience import within

PHONE: ViewportSize = {"width": 360, "height": 800}


def column(page: Page, place: int) -> Locator:
    return page.get_by_role("region", name=f"Column {place}", exact=True)


def use_the_fake(page: Page, place: int) -> None:
    """Compare the fake with itself: the embedded engine takes its time."""
    column(page, place).locator(".model-button").click()
    column(page, place).get_by_role("option", name="fox-1b").click()


def compare(chat: Chat) -> None:
    chat.page.get_by_role("button", name="Compare", exact=True).click()
    expect(column(chat.page, 2)).to_be_visible()
    use_the_fake(chat.page, 2)


def test_one_prompt_is_answered_in_each_column_and_one_goes_on_alone(chat: Chat, tgi: FakeTgi) -> None:
    page = chat.page
    tgi.script.answer = ["First answer"]
    chat.ask("Before the columns")
    compare(chat)
    expect(column(page, 2).locator("article.message-assistant .prose")).to_have_text("First answer")
    page.get_by_role("button", name="Parameters of column 2").click()
    chat.set("Temperature", 0.3)
    tgi.script.answer = ["Second answer"]
    chat.composer.fill("To both")
    chat.composer.press("Enter")
    for place in (1, 2):
        expect(column(page, place).locator("article.message-assistant .prose").last).to_have_text("Second answer")
    chat.finish()
    first, second = (request.json for request in asked(tgi)[-2:])
    assert {first.get("temperature"), second.get("temperature")} == {None, 0.3}
    assert first["messages"] == second["messages"]
    page.get_by_text("Comparison").click()
    table = page.get_by_role("table")
    expect(table.get_by_role("row", name="Finish reason")).to_contain_text(re.compile("finished.*finished"))
    accessible.check(page)
    page.set_viewport_size(WIDE)
    page.reload()
    expect(column(page, 2).locator("article.message-assistant .prose").last).to_have_text("Second answer")
    column(page, 2).get_by_role("button", name="Continue with this one").click()
    expect(column(page, 2)).to_have_count(0)
    expect(chat.questions).to_have_text(["Before the columns", "To both"])
    assert chat.stored()["parameters"] == {"temperature": 0.3}


def test_stop_ends_every_column_and_a_closed_one_can_be_brought_back(chat: Chat, tgi: FakeTgi) -> None:
    page = chat.page
    compare(chat)
    tgi.script = long_script()
    chat.composer.fill("Go on for ever")
    chat.composer.press("Enter")
    expect(column(page, 1).or_(column(page, 2)).get_by_text("w5 ").first).to_be_visible()
    page.get_by_role("button", name="Stop", exact=True).click()
    within(1, lambda: asked(tgi)[0].closed_at)
    chat.finish()
    page.get_by_role("button", name="Close column 2").click()
    expect(column(page, 2)).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    expect(column(page, 2).locator(".message-user")).to_have_count(1)


def test_each_column_takes_a_prompt_of_its_own_where_that_is_wanted(chat: Chat, tgi: FakeTgi) -> None:
    page = chat.page
    compare(chat)
    page.get_by_label("One prompt for all").uncheck()
    own = column(page, 2).get_by_role("textbox", name="Message", exact=True)
    own.fill("For the second alone")
    own.press("Enter")
    expect(column(page, 2).locator(".message-user .bubble")).to_have_text("For the second alone")
    expect(column(page, 2).get_by_role("button", name="Send", exact=True)).to_be_visible()
    expect(column(page, 1).locator(".message-user")).to_have_count(0)
    assert len(asked(tgi)) == 1


def test_on_a_phone_one_column_is_shown_at_a_time(chat: Chat, tgi: FakeTgi) -> None:
    page = chat.page
    page.set_viewport_size(PHONE)
    page.get_by_role("button", name="Compare", exact=True).click()
    columns = page.get_by_role("group", name="Columns")
    expect(columns.get_by_role("button")).to_have_count(2)
    expect(column(page, 2)).to_be_visible()
    expect(column(page, 1)).to_have_count(0)
    columns.get_by_role("button").first.click()
    expect(column(page, 1)).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
