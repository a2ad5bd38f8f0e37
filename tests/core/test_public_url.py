"""Where the site says that it is: an address that people can open, and nothing else."""

import pytest
from environs import EnvError

from core.environment import cors_origins, public_url


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("", ""),
        ("https://parley.example.org", "https://parley.example.org"),
        ("https://parley.example.org/", "https://parley.example.org"),
        ("HTTPS://Parley.Example.Org:8443/", "https://parley.example.org:8443"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("http://parley", "http://parley"),
    ],
)
def test_an_address_is_kept_as_browsers_write_it(written: str, meant: str) -> None:
    assert public_url(written) == meant


@pytest.mark.parametrize(
    "written",
    [
        "foo",
        "parley.example.org",
        "//parley.example.org",
        "ftp://parley.example.org",
        "https://",
        "https:///",
        "https://:443",
        "https://parley.example.org/chat",
        "https://parley.example.org//",
        "https://parley.example.org?a=b",
        "https://parley.example.org/#top",
        "https://ada:secret@parley.example.org",
        "https://parley.example.org:0",
        "https://parley.example.org:65536",
        "https://parley.example.org:",
        "https://parley example.org",
        "https://parley_site",
        "https://[::1",
        "https://parley.example.org\n",
        " https://parley.example.org",
    ],
)
def test_anything_else_is_refused_without_repeating_it(written: str) -> None:
    with pytest.raises(EnvError, match='"PUBLIC_URL" is http:// or https://') as refused:
        public_url(written)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ([], ()),
        (["https://chat.example.org"], ("https://chat.example.org",)),
        (
            [" HTTPS://Chat.example.org/ ", "http://localhost:3000", ""],
            ("https://chat.example.org", "http://localhost:3000"),
        ),
        (["*"], ("*",)),
    ],
)
def test_origins_are_read_as_browsers_write_them(written: list[str], meant: tuple[str, ...]) -> None:
    assert cors_origins(written) == meant


@pytest.mark.parametrize(
    "wrong", ["chat.example.org", "https://chat.example.org/path", "https://*.example.org", "null"]
)
def test_what_is_no_origin_is_refused(wrong: str) -> None:
    with pytest.raises(EnvError, match='"CORS_ORIGINS"'):
        cors_origins(["https://chat.example.org", wrong])
