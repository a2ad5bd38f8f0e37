"""A served site, a model on a fake TGI, a team with a dollar, and clients that hold a key."""

import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from typing import Final

import httpx2
import pytest
from openai import DefaultHttpxClient, OpenAI

from accounts.models import Team
from credits import ledger
from tests.api.scenes import Connect, Wire
from tests.fakes.tgi import FakeTgi
from tests.inference.scenes import DOLLAR, register
from tests.patience import PATIENCE_SECONDS
from tests.server import Server, audited

# Nothing here speaks TLS, and to read every authority's certificate costs each client 30 ms.
NO_CERTIFICATES: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
BOTH_WAYS = ("test_disconnects", "test_streaming")


@pytest.fixture
def funded(team: Team) -> Team:
    """The team ``acme`` with one dollar."""
    ledger.grant(team.pk, DOLLAR, reason="for the tests", actor="tests")
    return team


@pytest.fixture
def engines(transactional_db: None) -> Iterator[ExitStack]:
    """Where fake engines are entered that outlive the site."""
    with ExitStack() as engines:
        yield engines


@pytest.fixture
def tgi(engines: ExitStack) -> FakeTgi:
    """A callable model on a fake TGI."""
    server = engines.enter_context(FakeTgi())
    register(server)
    return server


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Have what depends on how bytes come and go tested on ASGI alone, too."""
    if "site" in metafunc.fixturenames and metafunc.module.__name__.rpartition(".")[2] in BOTH_WAYS:
        metafunc.parametrize("site", [False, True], ids=["direct", "asgi"], indirect=True)


@pytest.fixture
def site(engines: ExitStack, request: pytest.FixtureRequest) -> Iterator[Server]:
    """The site on a real socket; in the end no hold is open, and every account is explained by its entries.

    A test may ask for one that is served by uvicorn as it is: ASGI alone.
    """
    with audited(is_plain=getattr(request, "param", False)) as server:
        yield server


@pytest.fixture
def client(site: Server, api_key: str) -> Iterator[OpenAI]:
    """The official client, which does not try again."""
    plain = DefaultHttpxClient(verify=NO_CERTIFICATES, timeout=PATIENCE_SECONDS)
    with OpenAI(base_url=f"{site.url}/v1", api_key=api_key, max_retries=0, http_client=plain) as client:
        yield client


@pytest.fixture
def connect(site: Server, api_key: str) -> Connect:
    """Open a connection by hand and ask for a chat with the key."""
    return partial(Wire, site.url, api_key)


@pytest.fixture
def raw(site: Server, api_key: str) -> Iterator[httpx2.Client]:
    """A plain HTTP client with the key."""
    headers = {"Authorization": f"Bearer {api_key}"}
    with httpx2.Client(base_url=site.url, headers=headers, timeout=PATIENCE_SECONDS, verify=NO_CERTIFICATES) as raw:
        yield raw
