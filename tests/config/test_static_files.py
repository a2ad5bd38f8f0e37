"""How static files are served, with nothing of a database or a session."""

from django.conf import settings
from django.test import Client


def test_a_file_comes_whole_with_its_type_and_length() -> None:
    expected = (settings.BASE_DIR / "static" / "theme.js").read_bytes()
    response = Client().get("/static/theme.js")
    assert (response.status_code, response.streaming, response.content) == (200, False, expected)
    assert response["Content-Type"].startswith("text/javascript")
    assert response["Content-Length"] == str(len(expected))


def test_a_file_that_the_browser_has_is_not_sent_again() -> None:
    client = Client()
    modified = client.get("/static/theme.js")["Last-Modified"]
    again = client.get("/static/theme.js", headers={"If-Modified-Since": modified})
    assert (again.status_code, again.content) == (304, b"")


def test_a_part_of_a_file_can_be_asked_for() -> None:
    response = Client().get("/static/theme.js", headers={"Range": "bytes=0-9"})
    assert (response.status_code, len(response.content)) == (206, 10)
    assert response["Content-Range"].startswith("bytes 0-9/")


def test_only_the_head_is_sent_when_only_that_is_asked_for() -> None:
    response = Client().head("/static/theme.js")
    assert (response.status_code, response.content) == (200, b"")
    assert int(response["Content-Length"]) > 0


def test_nothing_above_the_folder_is_found() -> None:
    for path in ("/static/../manage.py", "/static/%2e%2e/manage.py", "/static/..%2fmanage.py"):
        assert Client().get(path).status_code in (302, 404)
