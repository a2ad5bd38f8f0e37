"""Nothing that was said is lost: versions stand side by side, and what was deleted comes back."""

import re

from playwright.sync_api import Page, expect

from tests.browser.chat import Chat
from tests.browser.stage import asked
from tests.fakes.tgi import FakeTgi


def button(chat: Chat, name: str) -> None:
    chat.page.get_by_role("button", name=name).last.click()


def delete_from_answer(chat: Chat) -> None:
    chat.answer.get_by_role("button", name="Delete from here").click()
    chat.page.get_by_role("dialog").get_by_role("button", name="Delete", exact=True).click()


def test_an_answer_that_was_asked_for_again_stands_beside_the_first_with_all_that_followed(
    chat: Chat, tgi: FakeTgi
) -> None:
    tgi.script.answer = ["First answer"]
    chat.ask("Question")
    tgi.script.answer = ["What followed"]
    chat.ask("And then?")
    tgi.script.answer = ["Second answer"]
    chat.answers.first.hover()
    chat.answers.first.get_by_role("button", name="Regenerate").click()
    expect(chat.text).to_have_text("Second answer")
    chat.finish()
    expect(chat.answers).to_have_count(1)
    expect(chat.answer.get_by_role("group", name="Versions")).to_contain_text("2/2")
    button(chat, "Previous version")
    expect(chat.answers.first.locator("> .prose")).to_have_text("First answer")
    expect(chat.text).to_have_text("What followed")
    expect(chat.questions.last).to_have_text("And then?")
    # The keyboard goes on where it was, as far as there is a way on.
    expect(chat.page.get_by_role("button", name="Next version").first).to_be_focused()
    chat.page.reload()
    expect(chat.text).to_have_text("What followed")
    chat.answers.first.hover()
    chat.page.get_by_role("button", name="Next version").first.click()
    expect(chat.text).to_have_text("Second answer")
    tgi.script.answer = ["Third"]
    chat.ask("On the second branch")
    sent = [message["content"] for message in asked(tgi)[-1].json["messages"]]
    assert sent == ["Question", "Second answer", "On the second branch"]


def test_an_edited_question_keeps_the_one_before_and_escape_loses_no_word(chat: Chat, tgi: FakeTgi) -> None:
    tgi.script.answer = ["To the first"]
    chat.ask("First wording")
    chat.composer.press("ArrowUp")
    box = chat.page.get_by_role("textbox", name="Edit")
    box.fill("Second wor")
    box.press("Escape")
    expect(chat.questions).to_have_text(["First wording"])
    chat.composer.press("ArrowUp")
    expect(box).to_have_value("Second wor")
    tgi.script.answer = ["To the second"]
    box.fill("Second wording")
    box.press("Enter")
    chat.finish()
    expect(chat.text).to_have_text("To the second")
    button(chat, "Previous version")
    expect(chat.questions).to_have_text(["First wording"])
    expect(chat.text).to_have_text("To the first")


def test_an_edit_of_a_question_far_above_is_in_sight(chat: Chat, tgi: FakeTgi) -> None:
    tgi.script.answer = [f"Line {number}\n\n" for number in range(80)]
    chat.ask("Write much")
    chat.composer.press("ArrowUp")
    expect(chat.page.get_by_role("textbox", name="Edit")).to_be_in_viewport()


def test_deleted_messages_come_back_as_they_were(chat: Chat, tgi: FakeTgi) -> None:
    tgi.script.answer = ["An answer"]
    chat.ask("Question")
    delete_from_answer(chat)
    expect(chat.answers).to_have_count(0)
    expect(chat.composer).to_be_focused()
    button(chat, "Undo")
    expect(chat.text).to_have_text("An answer")
    chat.page.reload()
    expect(chat.text).to_have_text("An answer")


def test_an_emptied_and_a_deleted_conversation_come_back(chat: Chat, page: Page, tgi: FakeTgi) -> None:
    tgi.script.answer = ["An answer"]
    chat.ask("A title of its own")
    page.get_by_role("button", name="Clear conversation").click()
    page.get_by_role("dialog").get_by_role("button", name="Clear conversation").click()
    expect(chat.answers).to_have_count(0)
    button(chat, "Undo")
    expect(chat.text).to_have_text("An answer")
    item = page.locator(".history-item").first
    item.hover()
    item.get_by_role("button", name="Delete conversation").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete", exact=True).click()
    expect(page.locator(".history-open", has_text="A title of its own")).to_have_count(0)
    expect(chat.answers).to_have_count(0)
    button(chat, "Undo")
    expect(chat.text).to_have_text("An answer")
    expect(page.locator(".history-open").first).to_have_text("A title of its own")


def test_back_and_forward_lead_through_what_was_open(chat: Chat, page: Page, tgi: FakeTgi) -> None:
    tgi.script.answer = ["An answer"]
    chat.ask("The first conversation")
    page.get_by_role("button", name="New chat").click()
    expect(chat.answers).to_have_count(0)
    chat.ask("The second conversation")
    page.locator(".history-open", has_text="The first conversation").click()
    expect(chat.questions).to_have_text(["The first conversation"])
    page.go_back()
    expect(chat.questions).to_have_text(["The second conversation"])
    page.go_back()
    expect(chat.questions).to_have_text(["The first conversation"])
    page.go_forward()
    expect(chat.questions).to_have_text(["The second conversation"])
    expect(page).to_have_url(re.compile("conversation="))
