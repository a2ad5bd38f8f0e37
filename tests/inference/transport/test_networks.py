"""Engines are called where they may be and nowhere else, whatever a name says and however often it is asked."""

import asyncio
import logging
import socket
from collections.abc import Callable
from ipaddress import ip_network
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from core.environment import engine_networks
from inference.engines.base import EndpointAddress
from inference.errors import EngineTimeout, EngineUnavailable
from inference.transport.client import Request
from inference.transport.networks import AddressRefused, check_host
from tests.fakes.raw import RawServer, Reply
from tests.inference.clients import engine_for, http
from tests.inference.engines.conversation import answer, chat
from tests.patience import PATIENCE_SECONDS

WHOLE = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"

# Loopback itself is allowed, so what leads there in disguise must be refused for the disguise.
REFUSED = [
    "169.254.169.254",
    "0.0.0.0",  # noqa: S104
    "[::]",
    "[::ffff:169.254.169.254]",
    "[::ffff:8.8.8.8]",
    "[::ffff:0.0.0.0]",
    "[fe80::1]",
    "[fe80::1%25lo]",
    "[fd00:ec2::254]",
    "[64:ff9b::a00:1]",
    "[2002:a00:1::]",
    "[::127.0.0.1]",
    "8.8.8.8",
    "100.64.0.1",
    "100.100.100.200",
    "224.0.0.1",
    "255.255.255.255",
    "2852039166",
    "0xa9fea9fe",
    "0xa9.0xfe.0xa9.0xfe",
    "0251.0376.0251.0376",
    "169.254.43518",
    "2130706433",
    "0x7f000001",
    "127.1",
    "127.0.0.1.",
    "0177.0.0.1",
]


class Resolver:
    """Answers the system's questions for names, each time with the next of its answers, and remembers them."""

    def __init__(self, *answers: list[str]) -> None:
        self.asked: list[str] = []
        self._answers = answers

    def __call__(self, host: Any, port: Any, *more: Any, **named: Any) -> list[Any]:
        """Return addresses as ``socket.getaddrinfo`` does."""
        addresses = self._answers[min(len(self.asked), len(self._answers) - 1)]
        self.asked.append(host)
        found = []
        for address in addresses:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            place = (address, port or 0, 0, 0) if ":" in address else (address, port or 0)
            found.append((family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", place))
        return found


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Resolver]:
    """Let names be where the test says."""

    def resolve(*answers: list[str]) -> Resolver:
        resolver = Resolver(*answers)
        monkeypatch.setattr(socket, "getaddrinfo", resolver)
        return resolver

    return resolve


async def fetch(url: str) -> tuple[int, bytes]:
    return await http().fetch(Request("GET", url, {}), seconds=PATIENCE_SECONDS, limit=100)


@pytest.mark.parametrize("host", REFUSED)
async def test_a_place_where_no_engine_may_be_is_not_called(host: str, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(EngineUnavailable) as raised:
        await fetch(f"http://{host}:9/")
    # Refused, and not only out of reach; the caller is told nothing about it.
    assert isinstance(raised.value.__cause__, AddressRefused)
    assert "An engine was not called" in caplog.text
    assert "network" not in raised.value.message.lower()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "LOCALHOST"])
async def test_this_machine_is_called_however_it_is_written(host: str) -> None:
    async with RawServer([Reply([WHOLE])]) as server:
        assert await fetch(f"http://{host}:{server.port}/") == (200, b"hello")


@pytest.mark.parametrize(
    "addresses",
    [
        ["169.254.169.254"],
        ["127.0.0.1", "169.254.169.254"],
        ["127.0.0.1", "8.8.8.8"],
        ["::ffff:169.254.169.254"],
        ["::"],
    ],
)
async def test_a_name_may_lead_to_allowed_addresses_only(
    resolve: Callable[..., Resolver], addresses: list[str]
) -> None:
    resolve(addresses)
    async with RawServer([Reply([WHOLE])]) as server:
        with pytest.raises(EngineUnavailable):
            await fetch(f"http://engine.internal:{server.port}/")
        assert server.connections == 0


async def test_a_name_that_changes_its_mind_is_asked_once_for_each_connection(
    resolve: Callable[..., Resolver],
) -> None:
    resolver = resolve(["127.0.0.1"], ["169.254.169.254"])
    async with RawServer([Reply([WHOLE])]) as server:
        url = f"http://engine.internal:{server.port}/"
        for _ in range(3):
            assert await fetch(url) == (200, b"hello")
        # All over the one connection, to the address that was checked.
        assert (resolver.asked, server.connections) == (["engine.internal"], 1)
        assert b"Host: engine.internal:" in server.requests[0]
        await http().close()
        with pytest.raises(EngineUnavailable):
            await fetch(url)
        assert (len(resolver.asked), server.connections) == (2, 1)


async def test_the_next_address_of_a_name_is_tried(resolve: Callable[..., Resolver]) -> None:
    # Nobody listens at the first.
    resolve(["127.0.0.77", "127.0.0.1"])
    async with RawServer([Reply([WHOLE])]) as server:
        assert await fetch(f"http://engine.internal:{server.port}/") == (200, b"hello")


async def test_a_name_that_is_allowed_may_be_in_public_but_not_just_anywhere(
    resolve: Callable[..., Resolver], settings: Settings
) -> None:
    settings.ENGINE_NETWORKS, settings.ENGINE_HOSTS = engine_networks(["10.0.0.0/8", "router.example"])
    resolve(["8.8.8.8"])
    check_host("router.example")
    check_host("Router.Example.")
    with pytest.raises(AddressRefused, match="outside"):
        check_host("other.example")
    for private in ("127.0.0.1", "192.168.0.1", "169.254.169.254", "::1", "fd00::1"):
        resolve([private])
        with pytest.raises(AddressRefused, match="outside"):
            check_host("router.example")
    resolve(["10.1.2.3"])
    check_host("router.example")


@pytest.mark.parametrize("host", ["169.254.169.254", "0.0.0.0", "fe80::1", "::ffff:169.254.169.254", "224.0.0.1"])  # noqa: S104
def test_some_places_are_refused_though_everything_is_allowed(host: str, settings: Settings) -> None:
    settings.ENGINE_NETWORKS = (ip_network("0.0.0.0/0"), ip_network("::/0"))
    check_host("8.8.8.8")
    with pytest.raises(AddressRefused):
        check_host(host)


async def test_an_address_is_refused_again_when_it_is_called(settings: Settings) -> None:
    async with RawServer([Reply([WHOLE])]) as server:
        settings.ENGINE_NETWORKS = (ip_network("10.0.0.0/8"),)
        engine = engine_for(EndpointAddress("tgi", server.url))
        for call in (answer(engine), engine.count_text("a"), engine.count_prompt(chat()), engine.describe()):
            with pytest.raises(EngineUnavailable):
                await call
        assert not await engine.is_healthy()
        assert server.connections == 0


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_leads_nowhere(status: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    async with RawServer([Reply([WHOLE])]) as other:
        moved = f"HTTP/1.1 {status} Moved\r\nlocation: {other.url}\r\ncontent-length: 0\r\n\r\n".encode()
        async with RawServer([Reply([moved])]) as server:
            for kind in ("tgi", "openai", "llamacpp"):
                engine = engine_for(EndpointAddress(kind, server.url, "", "model"))
                with pytest.raises(EngineUnavailable):
                    await answer(engine)
                with pytest.raises(EngineUnavailable):
                    await engine.describe()
                assert not await engine.is_healthy()
        assert other.connections == 0


async def test_a_name_that_is_slow_to_be_found_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    found = asyncio.Event()

    async def getaddrinfo(*more: Any, **named: Any) -> list[Any]:
        await found.wait()
        return []

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    with pytest.raises(EngineTimeout):
        await http().fetch(Request("GET", "http://engine.internal/", {}), seconds=0.2, limit=10)


async def test_a_name_without_an_address_is_unavailable(resolve: Callable[..., Resolver]) -> None:
    resolve([])
    with pytest.raises(EngineUnavailable):
        await fetch("http://engine.internal/")
