"""A server that is killed takes nothing with it that a person has seen."""

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.chat import Chat
from tests.browser.chromium import WIDE
from tests.browser.stage import FAKE_MODEL, long_script
from tests.fakes.tgi import FakeTgi
from tests.site import Site


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@pytest.fixture
def fragile(tmp_path: Path, tgi: FakeTgi) -> Iterator[Site]:
    """A site of its own, which comes back at the same address."""
    site = Site(tmp_path, EMBEDDED_ENGINE="false", PORT=str(free_port()))
    site.manage("add_model", FAKE_MODEL, "--endpoint", tgi.url, "--kind", "tgi", "--price-in", "1", "--price-out", "1")
    with site:
        yield site


@pytest.fixture
def visitor(fragile: Site, browser: Browser) -> Iterator[Page]:
    """The operator in a tab of that site."""
    with browser.new_context(base_url=fragile.url, viewport=WIDE) as context:
        page = context.new_page()
        page.goto("/login")
        page.get_by_label("E-mail").fill(fragile.admin["email"])
        page.get_by_label("Password").fill(fragile.admin["password"])
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("heading", name="Models")).to_be_visible()
        yield page


def test_what_was_read_of_an_answer_survives_its_server(visitor: Page, fragile: Site, tgi: FakeTgi) -> None:
    chat = Chat(visitor)
    chat.open(FAKE_MODEL)
    tgi.script = long_script()
    chat.send("Go on for ever")
    chat.wait_for_text("w40 ")
    fragile.kill()
    expect(chat.banner).to_contain_text("Reconnecting to see how the answer went on")
    read = chat.text.inner_text()
    chat.composer.fill("Typed while nobody was there")
    expect(chat.banner).to_contain_text("Reconnecting")
    fragile.start()
    expect(chat.answer).to_contain_text("The server stopped in the middle of this answer")
    expect(chat.answer).to_contain_text("nothing was charged")
    assert chat.text.inner_text() == read
    expect(chat.banner).to_have_text("")
    chat.wait_until_kept("Typed while nobody was there")
    visitor.reload()
    expect(chat.text).to_have_text(read)
    expect(chat.composer).to_have_value("Typed while nobody was there")
    expect(chat.answer.get_by_role("link", name="Receipt")).to_have_count(0)
    tgi.script.answer, tgi.script.between = ["Back again"], 0
    chat.ask("And now?")
    expect(chat.text).to_have_text(re.compile("Back again"))
