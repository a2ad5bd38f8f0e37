"""The tags that load the built front end."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.template import Context, Template

from playground.templatetags.frontend import feature_name, parameter_count, token_count

MANIFEST = {
    "frontend/src/entries/page.ts": {
        "file": "assets/page-1.js",
        "css": ["assets/page-1.css"],
        "imports": ["_a.js", "_b.js"],
    },
    "_a.js": {"file": "assets/a-1.js", "imports": ["_b.js"]},
    "_b.js": {"file": "assets/b-1.js", "css": ["assets/b-1.css"]},
}


@pytest.fixture
def built(tmp_path: Path, settings: Any) -> Path:
    """A folder with a build in it."""
    settings.BASE_DIR = tmp_path
    manifest = tmp_path / "static" / "build" / "manifest.json"
    manifest.parent.mkdir(parents=True)
    manifest.write_text(json.dumps(MANIFEST))
    return manifest


def rendered(entry: str) -> str:
    """What the tag puts into a page."""
    return Template("{% load frontend %}{% frontend_assets entry %}").render(Context({"entry": entry}))


def test_a_page_gets_its_styles_preloads_and_script_each_once(built: Path) -> None:
    assert rendered("page").splitlines() == [
        '<link rel="stylesheet" href="/static/build/assets/page-1.css">',
        '<link rel="stylesheet" href="/static/build/assets/b-1.css">',
        '<link rel="modulepreload" href="/static/build/assets/b-1.js">',
        '<link rel="modulepreload" href="/static/build/assets/a-1.js">',
        '<script type="module" src="/static/build/assets/page-1.js"></script>',
    ]


def test_a_rebuild_shows_without_a_restart(built: Path) -> None:
    rendered("page")
    built.write_text(json.dumps({"frontend/src/entries/page.ts": {"file": "assets/page-2.js"}}))
    assert rendered("page") == '<script type="module" src="/static/build/assets/page-2.js"></script>'


def test_a_page_without_a_build_is_drawn_plain_and_the_log_says_why(
    built: Path, caplog: pytest.LogCaptureFixture
) -> None:
    built.unlink()
    assert rendered("page") == ""
    assert "frontend/build.py" in caplog.text


def test_sizes_read_as_people_say_them() -> None:
    assert [token_count(tokens) for tokens in (131_072, 200_000, 1_048_576, 1_500, 32_001)] == [
        "128K",
        "200K",
        "1M",
        "1,500",
        "32K",
    ]
    assert [parameter_count(size) for size in (8_030_261_248, 134_515_008)] == ["8.0B", "135M"]


def test_features_are_written_as_people_say_them() -> None:
    features = ("structured_output", "json_mode", "tools")
    assert [feature_name(feature) for feature in features] == ["Structured output", "JSON mode", "Tools"]
