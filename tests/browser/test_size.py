"""How much a browser loads before a person can type."""

import gzip
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Page, Response, expect

from tests.browser.chromium import Watch

STATIC = Path(__file__).resolve().parent.parent.parent / "static"
KILOBYTE = 1024
SCRIPT_BUDGET, STYLE_BUDGET = 100 * KILOBYTE, 25 * KILOBYTE


def test_the_playground_loads_little(page: Page, watch: Watch) -> None:
    loaded: dict[str, int] = {}

    def measure(response: Response) -> None:
        path = urlsplit(response.url).path
        if path.endswith((".js", ".css")):
            loaded[path] = len(gzip.compress((STATIC / path.removeprefix("/static/")).read_bytes(), 9))

    page.on("response", measure)
    page.goto("/playground")
    expect(page.get_by_role("textbox", name="Message", exact=True)).to_be_visible()
    scripts = {path: size for path, size in loaded.items() if path.endswith(".js")}
    assert any("/build/assets/playground-" in path for path in scripts)
    assert sum(scripts.values()) <= SCRIPT_BUDGET, scripts
    assert sum(loaded.values()) - sum(scripts.values()) <= STYLE_BUDGET, loaded
