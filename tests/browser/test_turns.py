"""Turns that nobody is asked for, answers written anew and gone on with, tools, and parameters as JSON."""

import json
import re

from playwright.sync_api import expect

from tests.browser import accessible
from tests.browser.chat import Chat
from tests.browser.chromium import WIDE
from tests.browser.stage import asked
from tests.fakes.script import Script
from tests.fakes.tgi import FakeTgi
from tests.patience import until

TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]


def add(chat: Chat, role: str, text: str) -> None:
    """Add a turn without asking for an answer."""
    turns = chat.page.locator("article.message")
    before = turns.count()
    chat.composer.fill(text)
    chat.page.get_by_role("button", name="Add without sending").click()
    chat.page.get_by_role("button", name=role, exact=True).click()
    expect(turns).to_have_count(before + 1)


def sent(tgi: FakeTgi) -> list[tuple[str, str]]:
    return [(message["role"], message["content"]) for message in asked(tgi)[-1].json["messages"]]


def test_turns_of_any_role_are_added_answered_written_anew_and_gone_on_with(chat: Chat, tgi: FakeTgi) -> None:
    page = chat.page
    add(chat, "System", "Be brief.")
    add(chat, "User", "Tell me of foxes")
    assert asked(tgi) == []
    tgi.script.answer = ["Foxes", " sleep."]
    page.get_by_role("button", name="Get an answer").click()
    expect(chat.text).to_have_text("Foxes sleep.")
    chat.finish()
    assert sent(tgi) == [("system", "Be brief."), ("user", "Tell me of foxes")]
    chat.answer.get_by_role("button", name="Edit").click()
    box = page.get_by_role("textbox", name="Edit")
    box.fill("Foxes hunt")
    box.press("Enter")
    expect(chat.text).to_have_text("Foxes hunt")
    tgi.script.answer = [" at", " night."]
    chat.answer.get_by_role("button", name="Continue this answer").click()
    expect(chat.text).to_have_text("Foxes hunt at night.")
    chat.finish()
    assert sent(tgi)[-1] == ("assistant", "Foxes hunt")
    expect(chat.answer.get_by_label("Version 3 of 3")).to_be_visible()
    accessible.check(page)


def test_a_tool_is_described_checked_called_and_answered(chat: Chat, tgi: FakeTgi) -> None:
    page = chat.page
    tools = page.get_by_label("Tools", exact=True)
    tools.fill(json.dumps([{"type": "function", "function": {"name": "not a name"}}]))
    expect(page.get_by_text("It is not sent like this.")).to_be_visible()
    tools.fill(json.dumps(TOOLS))
    expect(page.get_by_label("Tool choice")).to_be_visible()
    page.get_by_label("Other parameters").fill('{"repetition_penalty": 1.1}')
    page.wait_for_url(re.compile("conversation="))
    until(lambda: chat.stored()["parameters"] == {"tools": TOOLS, "repetition_penalty": 1.1})
    tgi.script = Script(tool_call=("weather", ['{"city":', ' "Seoul"}']))
    chat.ask("Rain?")
    call = page.get_by_role("region", name="Call of weather")
    expect(call).to_contain_text('"city": "Seoul"')
    accessible.check(page)
    page.set_viewport_size(WIDE)
    tgi.script = Script(answer=["It rains."])
    call.get_by_label("What it returns").fill("rain")
    call.get_by_role("button", name="Give the result").click()
    expect(chat.text).to_have_text("It rains.")
    chat.finish()
    request = asked(tgi)[-1].json
    assert [message["role"] for message in request["messages"]] == ["user", "assistant", "tool"]
    assert request["messages"][2]["content"] == "rain"
    assert request["tools"] == TOOLS
