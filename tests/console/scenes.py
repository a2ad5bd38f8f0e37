"""What the console's tests need to have happened."""

from html.parser import HTMLParser
from typing import Any

from accounts import keys
from tests.inference.scenes import MODEL
from tests.inference.started_runs import model, run
from tests.patience import within

__all__ = ["MODEL", "Page", "call_for_a_second", "model", "read", "run"]


def call_for_a_second(secret: str) -> None:
    """Call with a key until it is refused. Raises AssertionError when it is not within a second."""
    within(1, lambda: not keys.authenticate(secret, None))


def read(response: Any) -> str:
    """Return a page without the marks of where its words may break."""
    return str(response.content.decode().replace("<wbr>", ""))


class Page(HTMLParser):
    """What a page says, and what it would do that its policy forbids."""

    def __init__(self, response: Any) -> None:
        super().__init__()
        self.inline: list[str] = []
        self.foreign: list[str] = []
        self.values: dict[str, str] = {}
        self._script: str | None = None
        self.feed(response.content.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.inline += [f"{tag} {name}" for name in found if name == "style" or name.startswith("on")]
        if tag == "style" or (tag == "script" and "src" not in found and found.get("type") != "application/json"):
            self.inline.append(tag)
        if tag != "a":
            self.foreign += [value for name, value in found.items() if name in ("src", "href") and "//" in value]
        if tag == "input" and "name" in found:
            self.values[found["name"]] = found.get("value", "")
