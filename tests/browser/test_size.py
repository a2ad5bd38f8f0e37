"""How much a browser loads before a person can type, and how little when that person comes back."""

import gzip
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
from playwright.sync_api import BrowserContext, Page, Response, expect

from tests.browser.chromium import Watch
from tests.site import Site

STATIC = Path(__file__).resolve().parent.parent.parent / "static"
KILOBYTE = 1024
SCRIPT_BUDGET, STYLE_BUDGET, WIRE_BUDGET = 100 * KILOBYTE, 25 * KILOBYTE, 120 * KILOBYTE


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


def wire_bytes(page: Page, context: BrowserContext) -> dict[str, int]:
    """Open the playground and return the bytes that came over the wire for each address, headers included."""
    devtools = context.new_cdp_session(page)
    addresses: dict[str, str] = {}
    sizes: dict[str, int] = {}

    def finished(event: Any) -> None:
        address = urlsplit(addresses.get(event["requestId"], "")).path
        sizes[address] = sizes.get(address, 0) + int(event["encodedDataLength"])

    devtools.on(
        "Network.requestWillBeSent", lambda event: addresses.update({event["requestId"]: event["request"]["url"]})
    )
    devtools.on("Network.loadingFinished", finished)
    devtools.send("Network.enable")
    page.goto("/playground")
    expect(page.get_by_role("textbox", name="Message", exact=True)).to_be_visible()
    page.wait_for_load_state("networkidle")
    return sizes


def test_a_first_visit_is_small_on_the_wire_and_the_next_one_brings_no_file_again(
    page: Page, context: BrowserContext
) -> None:
    cold = wire_bytes(page, context)
    print(f"cold /playground: {sum(cold.values())} bytes on the wire, of them {cold['/playground']} the page itself")
    assert sum(cold.values()) <= WIRE_BUDGET, cold
    again = wire_bytes(context.new_page(), context)
    assert sum(size for path, size in again.items() if path.startswith("/static/")) == 0, again


def test_what_was_built_is_compressed_and_kept_for_a_year(site: Site) -> None:
    with httpx2.Client(base_url=site.url) as client:
        page = client.get("/login").text
        files = re.findall(r'(?:src|href|data-icons)="(/static/[^"#]+)"', page)
        assert len(files) >= 5
        for file in files:
            found = client.get(file, headers={"Accept-Encoding": "br, gzip"})
            assert found.headers["cache-control"] == "max-age=315360000, public, immutable", file
            assert len(found.content) < 500 or found.headers["content-encoding"] in ("br", "gzip"), file
            assert found.headers["vary"] == "Accept-Encoding"
