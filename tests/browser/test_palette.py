"""Commands, models and conversations are found from the keyboard alone."""

from playwright.sync_api import expect

from tests.browser import accessible
from tests.browser.chat import Chat
from tests.browser.chromium import WIDE


def test_a_few_letters_lead_to_commands_and_to_conversations_by_what_was_said_in_them(chat: Chat) -> None:
    page = chat.page
    chat.ask("A question about walruses")
    chat.composer.press("Control+k")
    search = page.get_by_role("combobox", name="Search commands, models and conversations")
    expect(search).to_be_focused()
    search.fill("new chat")
    search.press("Enter")
    expect(chat.answers).to_have_count(0)
    chat.composer.press("Control+k")
    search.fill("walruses")
    expect(page.get_by_role("option", name="A question about walruses")).to_be_visible()
    accessible.check(page)
    page.set_viewport_size(WIDE)
    search.press("Enter")
    expect(chat.questions).to_have_text(["A question about walruses"])
    page.get_by_role("heading", name="Parameters", level=3).click()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
