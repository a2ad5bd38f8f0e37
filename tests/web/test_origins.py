from typing import Any

import pytest
from pytest_django.fixtures import Settings

from web.origins import is_same_origin

HOST = "parley.example.org"
HOSTILE = [
    "null",
    "",
    " ",
    "http://",
    "https://",
    "parley.example.org",
    "//parley.example.org",
    "http://parley.example.org",
    "https://parley.example.org/",
    "https://parley.example.org/chat",
    "https://parley.example.org?x",
    "https://parley.example.org#x",
    "https://parley.example.org:80",
    "https://parley.example.org:8443",
    "https://parley.example.org:",
    "https://parley.example.org.",
    "https://parley.example.org.evil.test",
    "https://evil.test",
    "https://evil.test/https://parley.example.org",
    "https://evil.test#https://parley.example.org",
    "https://evil.test?https://parley.example.org",
    "https://evil.test\\@parley.example.org",
    "https://parley.example.org@evil.test",
    "https://user@parley.example.org",
    "https://user:password@parley.example.org",
    "https://xparley.example.org",
    "https://sub.parley.example.org",
    "https://example.org",
    "https://parley.example.org https://evil.test",
    "https://evil.test https://parley.example.org",
    "https://parley.example.org,https://evil.test",
    "https://parley.example.org\t",
    " https://parley.example.org",
    "https://parley.example.org%00.evil.test",
    "https://parley%2eexample%2eorg",
    "https://\u0440arley.example.org",
    "wss://parley.example.org",
    "ws://parley.example.org",
    "file://parley.example.org",
    "chrome-extension://parley.example.org",
    "javascript:https://parley.example.org",
    "data:text/html,https://parley.example.org",
    "https://127.0.0.1",
    "https://[::1]",
    "*",
]


@pytest.fixture(autouse=True)
def _public_site(settings: Settings) -> None:
    settings.ALLOWED_HOSTS = [HOST, "127.0.0.1", "[::1]"]
    settings.PUBLIC_URL = f"https://{HOST}"


def handshake(*origins: str, host: str = HOST, scheme: str = "ws") -> dict[str, Any]:
    headers = [(b"host", host.encode())] if host else []
    return {"headers": headers + [(b"origin", origin.encode()) for origin in origins], "scheme": scheme}


@pytest.mark.parametrize("origin", HOSTILE)
def test_a_page_of_another_origin_is_refused(origin: str) -> None:
    assert not is_same_origin(handshake(origin))
    assert not is_same_origin(handshake(origin, scheme="wss"))


def test_the_sites_own_page_is_accepted() -> None:
    assert is_same_origin(handshake(f"https://{HOST}"))
    assert is_same_origin(handshake(f"https://{HOST}", host=f"{HOST}:443"))
    assert is_same_origin(handshake(f"https://{HOST}:8443", host=f"{HOST}:8443", scheme="wss"))


def test_a_plain_site_accepts_its_plain_page(settings: Settings) -> None:
    settings.PUBLIC_URL = "http://127.0.0.1:8000"
    assert is_same_origin(handshake("http://127.0.0.1:8000", host="127.0.0.1:8000"))
    assert is_same_origin(handshake("http://[::1]:8000", host="[::1]:8000"))
    assert not is_same_origin(handshake("http://127.0.0.1:9000", host="127.0.0.1:8000"))
    assert not is_same_origin(handshake("https://127.0.0.1:8000", host="127.0.0.1:8000"))


def test_no_origin_two_origins_or_no_host_are_refused() -> None:
    own = f"https://{HOST}"
    assert not is_same_origin(handshake())
    assert not is_same_origin(handshake(own, own))
    assert not is_same_origin(handshake(own, "https://evil.test"))
    assert not is_same_origin(handshake(own, host=""))


@pytest.mark.parametrize(
    "host", ["evil.test", "parley.example.org.evil.test", "parley.example.org@evil.test", "é", "a b"]
)
def test_a_host_that_is_not_ours_is_refused_even_when_the_origin_agrees(host: str) -> None:
    assert not is_same_origin(handshake(f"https://{host}", host=host))
