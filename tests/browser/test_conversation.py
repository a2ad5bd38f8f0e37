"""What a person does to a conversation besides talking, and what becomes of it when he signs out."""

import re

from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.chat import PROJECT, Chat
from tests.browser.chromium import WIDE
from tests.browser.stage import FAKE_MODEL, asked, long_script
from tests.browser.test_narrow import PHONE
from tests.fakes.tgi import FakeTgi
from tests.patience import within
from tests.site import Site


def history(page: Page) -> Locator:
    """Return the titles in the history."""
    return page.locator(".history-open")


def sign_in(page: Page, site: Site) -> None:
    page.get_by_label("E-mail").fill(site.admin["email"])
    page.get_by_label("Password").fill(site.admin["password"])
    page.get_by_role("button", name="Sign in").click()


def test_signing_out_ends_the_answer_within_a_second_and_keeps_the_draft(
    browser: Browser, site: Site, tgi: FakeTgi
) -> None:
    tgi.script = long_script()
    # A login of its own: the other tests' is to stay.
    with browser.new_context(base_url=site.url, viewport=WIDE) as context:
        page = context.new_page()
        page.goto("/login")
        sign_in(page, site)
        chat = Chat(page)
        chat.open(FAKE_MODEL)
        chat.send("Go on for ever")
        chat.wait_for_text("w5 ")
        chat.composer.fill("My next question")
        chat.wait_until_kept("My next question")
        other = context.new_page()
        other.goto("/docs/errors")
        other.get_by_label(re.compile("^Menu of")).click()
        other.get_by_role("button", name="Sign out").click()
        expect(other).to_have_url(re.compile("/login"))
        within(1, lambda: asked(tgi)[0].closed_at)
        expect(chat.banner).to_contain_text("You are signed out. Sign in again; your draft is kept.")
        expect(page.get_by_role("button", name="Stop", exact=True)).to_have_count(0)
        expect(chat.composer).to_have_value("My next question")
        chat.banner.get_by_role("link", name="Sign in").click()
        sign_in(page, site)
        expect(chat.composer).to_have_value("My next question")
        expect(chat.answer).to_contain_text("Stopped")


def test_the_conversation_can_be_cleared_on_a_phone_and_loses_its_title(chat: Chat) -> None:
    page = chat.page
    chat.ask("A title to forget")
    page.set_viewport_size(PHONE)
    page.get_by_role("button", name="Conversations", exact=True).click()
    expect(history(page).first).to_have_text("A title to forget")
    page.get_by_role("button", name="Clear conversation").click()
    page.get_by_role("dialog", name="Clear all messages?").get_by_role("button", name="Clear conversation").click()
    expect(chat.answers).to_have_count(0)
    page.get_by_role("button", name="Conversations", exact=True).click()
    expect(history(page).first).to_have_text("New conversation")
    assert chat.stored()["title"] == ""


def test_deleting_from_a_message_on_asks_first(chat: Chat) -> None:
    chat.ask("Hello")
    dialog = chat.page.get_by_role("dialog", name="Delete this message and all after it?")
    for button, left in (("Cancel", 1), ("Delete", 0)):
        chat.answer.get_by_role("button", name="Delete from here").click()
        dialog.get_by_role("button", name=button, exact=True).click()
        expect(dialog).to_have_count(0)
        expect(chat.answers).to_have_count(left)


def test_the_code_of_an_empty_chat_is_an_example_and_leaves_no_conversation(chat: Chat) -> None:
    page = chat.page
    before = history(page).count()
    page.get_by_role("button", name="View code").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("an example stands in for your message")
    expect(dialog).to_contain_text("Explain gravity to a child")
    page.keyboard.press("Escape")
    listed = page.request.get("/playground/conversations", params={"project": PROJECT}).json()["conversations"]
    assert history(page).count() == before
    assert all(each["title"] for each in listed[:1])
    chat.composer.fill("My own words")
    page.get_by_role("button", name="View code").click()
    expect(dialog).to_contain_text("Exactly the request that this conversation sends now")
    expect(dialog).to_contain_text("My own words")


def test_only_text_that_came_while_one_read_above_is_new(chat: Chat, tgi: FakeTgi) -> None:
    page = chat.page
    new_text = page.get_by_role("button", name="New text")
    tgi.script.answer = [f"Line {number}\n\n" for number in range(80)]
    chat.ask("Write much")
    page.locator(".scroller").evaluate("box => box.scrollTop = 0")
    page.locator(".message-user").get_by_role("button", name="Edit").click()
    expect(page.get_by_role("textbox", name="Edit")).to_be_visible()
    page.keyboard.press("Escape")
    expect(new_text).to_have_count(0)
    tgi.script = long_script()
    chat.send("And more")
    chat.wait_for_text("w5 ")
    page.locator(".scroller").evaluate("box => box.scrollTop = 0")
    expect(new_text).to_be_visible()
    expect(page.get_by_text("Esc stops the answer")).to_be_visible()
    page.keyboard.press("Escape")
    chat.finish()
    page.locator(".message-user").first.get_by_role("button", name="Delete from here").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete", exact=True).click()
    expect(chat.answers).to_have_count(0)
    expect(new_text).to_have_count(0)


def test_one_can_type_at_once(chat: Chat) -> None:
    expect(chat.composer).to_be_focused()


def test_copying_moves_nothing(page: Page) -> None:
    page.goto("/")
    card = page.locator("[data-model]").first
    width = "link => link.getBoundingClientRect().width"
    before = card.get_by_role("link", name="Try in playground").evaluate(width)
    card.get_by_role("button", name="Copy model id").click()
    expect(card.get_by_role("button", name="Copied")).to_be_visible()
    assert abs(card.get_by_role("link", name="Try in playground").evaluate(width) - before) < 0.1
