from pathlib import Path

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from web.snippets import base_url


@pytest.fixture(autouse=True)
def _documents(tmp_path: Path, settings: Settings) -> None:
    settings.BASE_DIR = tmp_path
    (tmp_path / "secret.md").write_text("# Secret")
    (tmp_path / "docs" / "decisions").mkdir(parents=True)
    (tmp_path / "docs" / "decisions" / "one.md").write_text("# Inside")
    (tmp_path / "docs" / "errors.md").write_text(
        "# When calls fail\n\n## `model_not_found`\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n"
        "<script>alert(1)</script> <b onclick='x'>bold</b> [go](javascript:alert(1))\n"
    )


def test_a_page_is_shown_to_anyone_with_ids_that_errors_link_to() -> None:
    page = Client().get("/docs/errors")
    text = page.content.decode()
    assert page.status_code == 200
    assert '<h2 id="model_not_found"><code>model_not_found</code></h2>' in text
    assert "When calls fail" in text
    assert "<td>1</td>" in text


def test_a_link_to_another_file_leads_to_its_page(tmp_path: Path) -> None:
    (tmp_path / "docs" / "engines.md").write_text("[a](errors.md#one) [b](errors.md) [c](#d) [d](https://example.org)")
    text = Client().get("/docs/engines").content.decode()
    for href in ("errors#one", "errors", "#d", "https://example.org"):
        assert f'<a href="{href}">' in text


def test_a_link_to_a_file_that_is_no_page_leaves_its_words(tmp_path: Path) -> None:
    (tmp_path / "docs" / "engines.md").write_text("[why](decisions/one.md), [how](../engine.py), [where](errors.md).")
    assert '<p>why, how, <a href="errors">where</a>.</p>' in Client().get("/docs/engines").content.decode()


def test_a_page_of_several_parts_is_named_after_the_first(tmp_path: Path) -> None:
    (tmp_path / "docs" / "errors.md").write_text("# Errors\n\nOf the API.\n\n# In the browser\n")
    text = Client().get("/docs/errors").content.decode()
    assert '<a href="/docs/errors" aria-current="page">Errors</a>' in text


def test_the_address_that_the_files_print_is_shown_as_this_sites(tmp_path: Path, settings: Settings) -> None:
    text = "See [keys](http://127.0.0.1:8000/console/keys).\n\n```sh\nexport PARLEY_URL=http://127.0.0.1:8000/v1\n```\n"
    (tmp_path / "docs" / "examples.md").write_text(text)
    for site in ("https://parley.example.org", "http://10.0.0.7:9000"):
        settings.PUBLIC_URL = site
        shown = Client().get("/docs/examples").content.decode()
        assert f"export PARLEY_URL={base_url()}\n" in shown
        assert f'href="{site}/console/keys"' in shown


def test_raw_html_and_script_links_stay_text() -> None:
    text = Client().get("/docs/errors").content.decode()
    assert "<script>alert" not in text
    assert "<b onclick" not in text
    assert 'href="javascript:' not in text


@pytest.mark.parametrize("name", ["missing", "..%2Fsecret", "../secret", "decisions/one", "errors.md", "%2e%2e/secret"])
def test_only_known_names_are_found(name: str) -> None:
    assert Client().get(f"/docs/{name}").status_code == 404


def test_a_changed_file_shows_without_a_restart(tmp_path: Path) -> None:
    Client().get("/docs/errors")
    (tmp_path / "docs" / "errors.md").write_text("# Rewritten")
    assert "Rewritten" in Client().get("/docs/errors").content.decode()
