"""One conversation in two tabs: each sees what the other did, and sends what its sender saw."""

from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, WebSocketRoute, expect

from tests.browser.chat import Chat
from tests.browser.chromium import Watch
from tests.browser.stage import asked, long_script
from tests.fakes.tgi import FakeTgi
from tests.patience import until


@pytest.fixture
def other(chat: Chat, context: BrowserContext, tgi: FakeTgi) -> Chat:
    """A second tab on the conversation of the first, in which something was said."""
    tgi.script.answer = ["An answer"]
    chat.ask("In the first tab")
    page = context.new_page()
    page.goto(chat.page.url)
    other = Chat(page)
    expect(other.text).to_have_text("An answer")
    return other


def test_a_turn_in_one_tab_appears_in_the_other_and_is_part_of_what_that_sends(
    chat: Chat, other: Chat, tgi: FakeTgi
) -> None:
    tgi.script.answer = ["Another answer"]
    chat.ask("Again in the first")
    expect(other.questions).to_have_text(["In the first tab", "Again in the first"])
    expect(other.text).to_have_text("Another answer")
    other.ask("Now in the second")
    sent = [message["content"] for message in asked(tgi)[-1].json["messages"]]
    assert sent[::2] == ["In the first tab", "Again in the first", "Now in the second"]
    expect(chat.questions.last).to_have_text("Now in the second")


def test_an_answer_is_read_in_both_tabs_while_it_comes(chat: Chat, other: Chat, tgi: FakeTgi) -> None:
    tgi.script = long_script()
    chat.send("Go on for ever")
    other.wait_for_text("w5 ")
    other.page.get_by_role("button", name="Stop", exact=True).click()
    chat.finish()
    expect(chat.answer).to_contain_text("Stopped")


def hears_no_changes(route: WebSocketRoute) -> None:
    """Lose every word of what other tabs do, as a bad line may."""
    server = route.connect_to_server()
    server.on_message(lambda message: None if '"changed"' in str(message) else route.send(message))


def test_what_was_written_on_an_older_state_is_not_sent_but_asked_about(
    chat: Chat, context: BrowserContext, tgi: FakeTgi
) -> None:
    chat.ask("In the first tab")
    page = context.new_page()
    page.route_web_socket("**/ws/playground", hears_no_changes)
    page.goto(chat.page.url)
    other = Chat(page)
    expect(other.questions).to_have_text(["In the first tab"])
    chat.ask("Unseen by the other")
    other.composer.fill("Written before")
    other.composer.press("Enter")
    expect(other.banner).to_contain_text("Another tab changed this conversation while you sent")
    expect(other.questions).to_have_text(["In the first tab", "Unseen by the other"])
    expect(other.composer).to_have_value("Written before")
    assert len(asked(tgi)) == 2
    other.composer.press("Enter")
    other.finish()
    sent = [message["content"] for message in asked(tgi)[-1].json["messages"]]
    assert sent[::2] == ["In the first tab", "Unseen by the other", "Written before"]


def test_each_tab_keeps_its_own_draft_and_offers_the_others(chat: Chat, other: Chat) -> None:
    chat.composer.fill("Typed in the first")
    until(lambda: chat.stored()["draft"] == "Typed in the first")
    other.composer.fill("Typed in the second")
    until(lambda: len(chat.stored()["drafts"]) == 2)
    chat.page.reload()
    expect(chat.composer).to_have_value("Typed in the first")
    expect(chat.banner).to_contain_text("Typed in the second")
    chat.banner.get_by_role("button", name="Insert").click()
    expect(chat.composer).to_have_value("Typed in the first\n\nTyped in the second")
    expect(chat.banner).not_to_contain_text("Typed in the second")


def test_settings_of_one_tab_show_in_the_other_and_neither_undoes_the_others(chat: Chat, other: Chat) -> None:
    chat.set("Temperature", 0.3)
    expect(number(other.page, "Temperature")).to_have_value("0.3")
    other.set("Top P", 0.5)
    expect(number(chat.page, "Top P")).to_have_value("0.5")
    until(lambda: chat.stored()["parameters"] == {"temperature": 0.3, "top_p": 0.5})


def test_a_conversation_that_is_deleted_elsewhere_keeps_what_is_typed(chat: Chat, other: Chat, watch: Watch) -> None:
    other.composer.fill("My next thought")
    other.wait_until_kept("My next thought")
    item = chat.page.locator(".history-item").first
    item.hover()
    item.get_by_role("button", name="Delete conversation").click()
    chat.page.get_by_role("dialog").get_by_role("button", name="Delete", exact=True).click()
    expect(other.banner).to_contain_text("deleted in another tab")
    expect(other.composer).to_have_value("My next thought")
    expect(other.answers).to_have_count(0)


def number(page: Page, name: str) -> Any:
    return page.get_by_role("spinbutton", name=name, exact=True)
