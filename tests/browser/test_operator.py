"""What an operator does in the admin panel holds everywhere at once."""

import re
import secrets

import pytest
from openai import AuthenticationError, OpenAI
from playwright.sync_api import Browser, Page, expect

from tests.browser import accessible
from tests.browser.chat import Chat
from tests.browser.chromium import WIDE, Watch
from tests.browser.stage import EMPTY_TEAM, FAKE_MODEL, asked, long_script
from tests.fakes.tgi import FakeTgi
from tests.patience import within
from tests.site import Site


def make_key(page: Page, site: Site, name: str) -> str:
    """Make a key in the panel and return its secret, which is shown this once."""
    page.goto("/admin/accounts/apikey/add/")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Project").select_option(label=site.project)
    page.get_by_label("Issuer").fill(site.admin["email"])
    page.get_by_role("button", name="Make the key").click()
    secret = page.locator(".secret-line code").inner_text()
    assert re.fullmatch(r"parley_\w{12}_\w{49}", secret)
    return secret


def revoke_key(page: Page, secret: str) -> None:
    """Revoke a key in the panel."""
    page.goto(f"/admin/accounts/apikey/{secret.split('_')[1]}/change/")
    page.get_by_role("link", name="Revoke").click()
    page.get_by_role("button", name="Revoke").click()
    expect(page.get_by_text("1 key revoked")).to_be_visible()


def call(client: OpenAI) -> str:
    """Ask for a short answer."""
    answer = client.chat.completions.create(
        model=FAKE_MODEL, messages=[{"role": "user", "content": "Hello"}], max_tokens=3
    )
    return str(answer.choices[0].message.content)


def is_refused(client: OpenAI) -> bool:
    try:
        call(client)
    except AuthenticationError:
        return True
    return False


def test_a_key_that_an_operator_makes_works_until_he_revokes_it(page: Page, site: Site, tgi: FakeTgi) -> None:
    secret = make_key(page, site, "nightly report")
    accessible.check(page)
    page.set_viewport_size(WIDE)
    with OpenAI(base_url=f"{site.url}/v1", api_key=secret, project=site.project, max_retries=0) as client:
        assert call(client) == "The quick brown"
        page.goto("/admin/accounts/apikey/")
        assert secret not in page.content()
        revoke_key(page, secret)
        # The page that says so came after the revocation itself.
        within(1, lambda: is_refused(client))


def test_revoking_a_key_ends_its_answer_under_way_within_a_second(page: Page, site: Site, tgi: FakeTgi) -> None:
    tgi.script = long_script()
    secret = make_key(page, site, "long job")
    with (
        OpenAI(base_url=f"{site.url}/v1", api_key=secret, max_retries=0) as client,
        client.chat.completions.create(
            model=FAKE_MODEL, messages=[{"role": "user", "content": "Go on"}], stream=True
        ) as stream,
    ):
        next(iter(stream))
        revoke_key(page, secret)
        within(1, lambda: asked(tgi)[0].closed_at)


def test_a_grant_shows_in_every_balance_at_once(page: Page, chat: Chat) -> None:
    balance = page.get_by_title("Available")
    chat.open(FAKE_MODEL, f"{EMPTY_TEAM}/inference")
    expect(balance).to_contain_text("$0.00")
    panel = page.context.new_page()
    for dollars, total in (("12.50", "$12.50"), ("-12.50", "$0.00")):
        panel.goto("/admin/credits/post/")
        panel.get_by_label("Team").select_option(label=EMPTY_TEAM)
        panel.get_by_label("Kind").select_option("correction" if dollars.startswith("-") else "grant")
        panel.get_by_label("Dollars").fill(dollars)
        panel.get_by_label("Reason").fill("for the tests")
        panel.get_by_role("button", name="Post the entry").click()
        expect(panel.get_by_text(f"The balance is {total} now.")).to_be_visible()
        panel.goto(f"/console/teams/{EMPTY_TEAM}/")
        expect(panel.get_by_text("Available:")).to_contain_text(total)
        expect(balance).to_contain_text(total)


def test_a_new_person_signs_in_and_is_told_that_a_team_is_missing(page: Page, browser: Browser, site: Site) -> None:
    email, password = "ada@example.org", secrets.token_urlsafe(12)
    page.goto("/admin/accounts/user/add/")
    page.get_by_label("Email").fill(email)
    page.locator("#id_password1").fill(password)
    page.locator("#id_password2").fill(password)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("was added successfully")).to_be_visible()
    with browser.new_context(base_url=site.url, viewport=WIDE) as context:
        watch = Watch(context, site.url)
        tab = context.new_page()
        tab.goto("/login?next=/playground")
        tab.get_by_label("E-mail").fill(email)
        tab.get_by_label("Password").fill(password)
        tab.get_by_role("button", name="Sign in").click()
        expect(tab.get_by_text("You are not in a team yet")).to_be_visible()
        accessible.check(tab)
        tab.goto("/console/")
        expect(tab.get_by_role("heading", name="No team yet")).to_be_visible()
        accessible.check(tab)
        assert watch.report() == []
        tab.goto("/admin/")
        expect(tab.get_by_text("This is for operators.")).to_be_visible()
        accessible.check(tab)


@pytest.mark.parametrize("path", ["/admin/", "/console/teams/demo/", "/playground", "/"])
def test_a_stranger_sees_only_the_way_in(browser: Browser, site: Site, path: str) -> None:
    with browser.new_context(base_url=site.url) as context:
        page = context.new_page()
        page.goto(path)
        expect(page.get_by_role("heading", name="Sign in to Parley")).to_be_visible()
