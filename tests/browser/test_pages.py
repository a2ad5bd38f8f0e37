"""Every page, in both themes, wide and narrow: nothing in anyone's way, no error, nothing from elsewhere."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import accessible
from tests.browser.chat import Chat
from tests.browser.chromium import WIDE, Watch
from tests.browser.stage import EMPTY_TEAM, FAKE_MODEL
from tests.fakes.script import Script
from tests.fakes.tgi import FakeTgi
from tests.site import Site

PAGES = [
    "/",
    f"/models/{FAKE_MODEL}",
    "/playground",
    "/docs/examples",
    "/docs/errors",
    "/docs/architecture",
    "/console/teams/demo/",
    "/console/teams/demo/keys",
    "/console/teams/demo/people",
    "/console/teams/demo/billing",
    "/console/teams/demo/billing/ledger",
    "/console/teams/demo/billing/alerts",
    "/console/teams/demo/billing/budgets/add",
    f"/console/teams/{EMPTY_TEAM}/",
    f"/console/teams/{EMPTY_TEAM}/billing",
    f"/console/teams/{EMPTY_TEAM}/billing/ledger",
    f"/console/teams/{EMPTY_TEAM}/billing/alerts",
    "/console/password",
]
ADMIN_PAGES = re.compile(r"/admin/(\w+)/(\w+)/(add/|\?.*)?")

ANSWER = """## A heading

A server can answer **piece by piece**, with `chunks` and [a link](https://example.org/).

1. One
2. Two

| Way | Good for |
|---|---|
| Socket | a chat |

```python
def stream(url: str) -> None:
    print(url)  # a comment
```

> A quotation.

![A diagram](https://pictures.example.org/stream.png)
"""


@pytest.fixture(scope="module")
def answered(site: Site, engine: FakeTgi, browser: Browser, login: Any) -> str:
    """A site that has been used: an answer with everything in it, and one that failed. Its conversation's address."""
    with browser.new_context(base_url=site.url, storage_state=login) as context:
        chat = Chat(context.new_page())
        chat.open(FAKE_MODEL)
        engine.script = Script(answer=[ANSWER])
        chat.ask("Show me everything")
        engine.script = Script(fail_after=4)
        chat.ask("And fail")
        return f"/playground?conversation={chat.id}"


def links(page: Page, pattern: "re.Pattern[str]") -> list[str]:
    """Return the addresses on a page that are like this, each once."""
    found: list[str] = page.evaluate("[...document.links].map(link => link.pathname)")
    return sorted({address for address in found if pattern.fullmatch(address)})


def look_at(
    page: Page,
    addresses: Iterable[str],
    watch: Watch,
    subtests: pytest.Subtests,
    views: Sequence[tuple[str, int]] = accessible.VIEWS,
) -> None:
    """Look at pages one after the other."""
    for address in addresses:
        with subtests.test(address):
            page.goto(address)
            accessible.check(page, views)
            assert watch.report() == []
        watch.errors.clear()


def test_every_page_of_the_site(answered: str, page: Page, watch: Watch, subtests: pytest.Subtests) -> None:
    look_at(page, [*PAGES, answered], watch, subtests)
    page.goto("/console/teams/demo/billing/ledger")
    look_at(page, links(page, re.compile(r"/console/teams/demo/receipts/req_\w+"))[:1], watch, subtests)
    page.goto("/console/teams/demo/keys")
    look_at(page, links(page, re.compile(r"/console/teams/demo/keys/\w+/revoke")), watch, subtests)
    page.goto("/console/teams/demo/people")
    look_at(page, links(page, re.compile(r"/console/teams/demo/people/\d+/remove")), watch, subtests)


def test_every_kind_of_page_in_the_admin_panel(
    answered: str, page: Page, watch: Watch, subtests: pytest.Subtests
) -> None:
    page.goto("/admin/")
    addresses = links(page, ADMIN_PAGES)
    assert len(addresses) > 15
    changes = []
    for address in addresses:
        if not address.endswith("/add/"):
            page.goto(address)
            changes += links(page, re.compile(rf"{address}[^/]+/change/"))[:1]
    assert len(changes) > 8
    others = ["/admin/credits/post/?team=1", "/admin/accounts/team/1/history/", "/admin/inference/endpoint/hosted/"]
    look_at(page, ["/admin/", *addresses, *changes, *others], watch, subtests, accessible.FEW_VIEWS)


def test_a_page_that_is_not_there(page: Page, watch: Watch) -> None:
    page.goto("/nothing")
    accessible.check(page)
    watch.forgive("status of 404")


def test_the_sign_in_before_and_after_a_mistake(browser: Browser, site: Site) -> None:
    with browser.new_context(base_url=site.url, viewport=WIDE) as context:
        watch = Watch(context, site.url)
        page = context.new_page()
        page.goto("/login")
        accessible.check(page)
        page.get_by_label("E-mail").fill("nobody@example.org")
        page.get_by_label("Password").fill("wrong")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert")).to_be_visible()
        accessible.check(page)
        watch.forgive("status of 400")
        assert watch.report() == []


def test_the_playground_while_an_answer_comes_and_after_it_was_stopped(chat: Chat, tgi: FakeTgi) -> None:
    tgi.script = Script(before_first=3600)
    chat.send("Are you there?")
    expect(chat.answer).to_contain_text("Waiting for the first token")
    accessible.check(chat.page)
    chat.page.keyboard.press("Escape")
    chat.finish()
    expect(chat.answer).to_contain_text("Nothing was charged")
    accessible.check(chat.page)


def test_the_playground_without_credits(chat: Chat) -> None:
    chat.open(FAKE_MODEL, f"{EMPTY_TEAM}/inference")
    expect(chat.banner).to_contain_text("out of credits")
    accessible.check(chat.page)


def test_what_opens_over_the_playground(chat: Chat) -> None:
    page = chat.page
    chat.ask("Hello")
    page.get_by_role("button", name="Model: Fox").or_(page.locator(".model-button")).first.click()
    expect(page.get_by_role("listbox")).to_be_visible()
    accessible.check(page)
    page.keyboard.press("Escape")
    chat.answer.get_by_role("button", name="View the code of this answer").click()
    expect(page.get_by_role("dialog")).to_contain_text("curl --no-buffer")
    accessible.check(page)
    page.keyboard.press("Escape")
    # Narrow, as the last look left it: the panels are sheets.
    for name in ("Parameters", "Conversations"):
        page.get_by_role("button", name=name, exact=True).click()
        expect(page.get_by_role("dialog", name=name)).to_be_visible()
        page.evaluate("Promise.allSettled(document.getAnimations().map(animation => animation.finished))")
        accessible.check(page)
        page.set_viewport_size({"width": 360, "height": 800})
        page.keyboard.press("Escape")


def test_the_theme_that_a_person_chose_stays(page: Page) -> None:
    page.emulate_media(color_scheme="light")
    page.goto("/")
    background = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(background)
    page.get_by_role("button", name="Switch between light and dark").click()
    dark = page.evaluate(background)
    page.goto("/playground")
    assert page.evaluate(background) == dark != light
