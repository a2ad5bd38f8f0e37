"""One site for all browser tests, with the embedded engine and a fake TGI, and one browser with the operator in it."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.browser.chat import Chat
from tests.browser.chromium import PATIENCE, WIDE, Watch, launch
from tests.browser.stage import EMPTY_TEAM, FAKE_MODEL, GRACE_SECONDS
from tests.fakes.script import Script
from tests.fakes.tgi import FakeTgi
from tests.site import Site

expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="package")
def engine() -> Iterator[FakeTgi]:
    """A fake TGI for as long as the site."""
    with FakeTgi() as tgi:
        yield tgi


@pytest.fixture(scope="package")
def site(engine: FakeTgi, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The site as ``manage.py serve`` runs it: the embedded model, a model on the fake, a team without credits."""
    grace = str(GRACE_SECONDS)
    site = Site(tmp_path_factory.mktemp("browser"), RECONNECT_GRACE_SECONDS=grace, HF_HUB_OFFLINE="true")
    prices = ("--price-in", "0.2", "--price-out", "0.6", "--price-cached", "0.1")
    # One place: a second answer at the same time has to wait in the queue.
    site.manage("add_model", FAKE_MODEL, "--endpoint", engine.url, "--kind", "tgi", "--concurrency", "1", *prices)
    site.manage("create_team", EMPTY_TEAM, "--owner", site.admin["email"])
    with site:
        yield site
        # Whatever the pages did: nothing for an operator to look into. (A refused page is one of Django's warnings.)
        assert " ERROR " not in site.output
        assert "Warning: " not in site.output


@pytest.fixture
def tgi(engine: FakeTgi) -> Iterator[FakeTgi]:
    """The fake, as if new."""
    engine.script = Script()
    engine.requests.clear()
    yield engine
    engine.close_connections()


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """One Chromium for all."""
    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def login(site: Site, browser: Browser) -> Any:
    """What a browser keeps of a person who has signed in."""
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(f"{site.url}/login")
        page.get_by_label("E-mail").fill(site.admin["email"])
        page.get_by_label("Password").fill(site.admin["password"])
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("heading", name="Models")).to_be_visible()
        return context.storage_state()


@pytest.fixture
def context(site: Site, browser: Browser, login: Any) -> Iterator[BrowserContext]:
    """A browser window of the operator, who is signed in."""
    with browser.new_context(base_url=site.url, storage_state=login, viewport=WIDE) as context:
        context.grant_permissions(["clipboard-read", "clipboard-write"], origin=site.url)
        context.set_default_timeout(PATIENCE)
        yield context


@pytest.fixture
def watch(context: BrowserContext, site: Site) -> Iterator[Watch]:
    """What the pages of the test did; nothing bad in the end."""
    watch = Watch(context, site.url)
    yield watch
    assert watch.report() == []


@pytest.fixture
def page(context: BrowserContext, watch: Watch) -> Page:
    """A tab."""
    return context.new_page()


@pytest.fixture
def chat(page: Page, tgi: FakeTgi) -> Chat:
    """The playground in a tab, with the fake's model."""
    chat = Chat(page)
    chat.open(FAKE_MODEL)
    return chat
