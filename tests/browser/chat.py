"""The playground as a person works it."""

import re
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from playwright.sync_api import Locator, Page, expect

from tests.browser.chromium import PATIENCE
from tests.patience import until

# Where the operator's credits are.
PROJECT = "demo/inference"


class Chat:
    """The chat page in a tab."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.composer = page.get_by_role("textbox", name="Message", exact=True)
        self.answers = page.locator("article.message-assistant")
        self.questions = page.locator("article.message-user .bubble")
        self.banner = page.locator(".banners")

    def open(self, model: str, project: str = PROJECT) -> None:
        """Open a new conversation with a model."""
        self.page.goto(f"/playground?{urlencode({'model': model, 'project': project})}")
        expect(self.composer).to_be_enabled()

    @property
    def answer(self) -> Locator:
        """The last answer."""
        return self.answers.last

    @property
    def text(self) -> Locator:
        """The last answer's text."""
        return self.answer.locator("> .prose")

    @property
    def error(self) -> Locator:
        """What went wrong with the last answer, or with the last message."""
        return self.page.locator(".error-card").last

    def send(self, text: str) -> None:
        """Say something."""
        answers = self.answers.count()
        self.composer.fill(text)
        self.composer.press("Enter")
        expect(self.answers).to_have_count(answers + 1)

    def ask(self, text: str) -> Locator:
        """Say something and wait for the whole answer."""
        self.send(text)
        self.finish()
        return self.answer

    def finish(self) -> None:
        """Wait until no answer is under way; the embedded engine lets everything else on the machine go first."""
        expect(self.page.get_by_role("button", name="Send", exact=True)).to_be_visible(timeout=4 * PATIENCE)

    def wait_for_text(self, pattern: str = r"\S") -> None:
        """Wait until the answer has begun."""
        expect(self.text).to_have_text(re.compile(pattern))

    def fact(self, pattern: str) -> "re.Match[str]":
        """Return what is told under the last answer."""
        facts = self.answer.locator(".run-facts")
        expect(facts).to_have_text(re.compile(pattern))
        found = re.search(pattern, facts.inner_text())
        assert found
        return found

    @property
    def id(self) -> str:
        """The conversation's id."""
        return parse_qs(urlsplit(self.page.url).query)["conversation"][0]

    def stored(self) -> dict[str, Any]:
        """Return the conversation as the server keeps it."""
        response = self.page.request.get(f"/playground/conversations/{self.id}")
        assert response.ok
        found: dict[str, Any] = response.json()
        return found

    def last_stored(self) -> dict[str, Any]:
        """Return the last message as the server keeps it."""
        message: dict[str, Any] = self.stored()["messages"][-1]
        return message

    def balance_nano(self) -> int:
        """Return the balance of the conversation's project."""
        response = self.page.request.get("/playground/balance", params={"project": self.stored()["project"]})
        return int(response.json()["balance_nano"])

    def set(self, name: str, value: float) -> None:
        """Set a parameter in the panel."""
        number = self.page.get_by_role("spinbutton", name=name, exact=True)
        number.fill(str(value))
        number.press("Tab")

    def wait_until_kept(self, draft: str) -> None:
        """Wait for a draft to reach the server, and with it what was changed before."""
        self.page.wait_for_url(re.compile("conversation="))
        until(lambda: self.stored()["draft"] == draft)

    def copied_python(self) -> str:
        """Open "View code" of the last answer and copy the Python."""
        self.answer.get_by_role("button", name="View the code of this answer").click()
        dialog = self.page.get_by_role("dialog")
        dialog.get_by_role("tab", name="Python").click()
        dialog.get_by_role("button", name="Copy").click()
        expect(dialog.get_by_role("button", name="Copied")).to_be_visible()
        code: str = self.page.evaluate("navigator.clipboard.readText()")
        dialog.get_by_role("button", name="Close").click()
        return code
