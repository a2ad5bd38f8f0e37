"""What axe finds on a page as it stands, in both themes, wide and narrow."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

AXE = Path(__file__).resolve().parent.parent.parent / "node_modules" / "axe-core" / "axe.min.js"
VIEWS = (("light", 1280), ("dark", 1280), ("dark", 360), ("light", 360))
# Each theme and each width once: for pages of which there are many of a kind.
FEW_VIEWS = VIEWS[::2]
NARROWEST = 320
# Everything that axe checks by default, and WCAG 2.2's size of targets, which it leaves to be switched on.
# No preloading: axe would write style elements of its own, which the page's policy refuses.
RUN = "axe.run(document, { rules: { 'target-size': { enabled: true } }, resultTypes: ['violations'], preload: false })"
# Two frames on, and no transition under way: colours in between are nobody's to read.
STILL = """new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))
  .then(() => Promise.allSettled(document.getAnimations().map(animation => animation.finished)))"""
SIDEWAYS = "document.documentElement.scrollWidth - innerWidth"


@cache
def axe() -> str:
    """Return axe's source; it is run by the debugger, so the page's policy stays as it is."""
    assert AXE.exists(), "axe-core is missing: python frontend/build.py installs the front end's packages"
    return AXE.read_text()


def check(page: Page, views: Sequence[tuple[str, int]] = VIEWS) -> None:
    """Fail with every violation in the views, or when the page scrolls sideways where it is narrowest."""
    found: dict[str, list[str]] = {}
    page.evaluate(f"{axe()}; void 0")
    for scheme, width in views:
        page.set_viewport_size({"width": width, "height": 800})
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
        page.evaluate(STILL)
        for each in _described(page.evaluate(RUN)):
            found.setdefault(each, []).append(f"{scheme} {width}")
    page.set_viewport_size({"width": NARROWEST, "height": 800})
    if (pixels := page.evaluate(SIDEWAYS)) > 0:
        found[f"scrolls sideways by {pixels} px"] = [str(NARROWEST)]
    assert not found, "\n".join(f"{each} [{', '.join(where)}]" for each, where in found.items())


def _described(results: dict[str, Any]) -> list[str]:
    return [
        f"{violation['id']}: {node['html'][:120]} ({node['any'][0]['message'] if node['any'] else violation['help']})"
        for violation in results["violations"]
        for node in violation["nodes"]
    ]
