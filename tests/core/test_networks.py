"""Where engines may be, as an operator writes it."""

import ipaddress

import pytest
from environs import EnvError

from core.environment import PRIVATE, check_embedded, engine_networks


def test_the_default_is_this_machine_and_private_networks() -> None:
    networks, names = engine_networks(PRIVATE)
    assert not names
    inside = ("127.0.0.1", "::1", "10.1.2.3", "172.31.0.1", "192.168.1.1", "fd12::1")
    outside = ("8.8.8.8", "169.254.169.254", "172.32.0.1", "100.64.0.1", "2001:db8::1", "fe80::1", "0.0.0.0")  # noqa: S104
    for address in (*inside, *outside):
        assert any(ipaddress.ip_address(address) in network for network in networks) == (address in inside)


def test_networks_and_names_may_stand_in_one_list() -> None:
    networks, names = engine_networks([" 10.0.0.0/8", "Router.HuggingFace.co ", "fd00::/8", "192.168.1.5", "engine"])
    assert [str(network) for network in networks] == ["10.0.0.0/8", "fd00::/8", "192.168.1.5/32"]
    assert names == {"router.huggingface.co", "engine"}


def test_the_embedded_engine_is_not_left_out_by_mistake() -> None:
    check_embedded(engine_networks(["10.0.0.0/8", "127.0.0.1"])[0])
    with pytest.raises(EnvError, match="EMBEDDED_ENGINE=false"):
        check_embedded(engine_networks(["10.0.0.0/8", "fd00::/8"])[0])


@pytest.mark.parametrize(
    "written",
    [
        [],
        [""],
        ["10.0.0.1/8"],
        ["10.0.0.0/33"],
        ["10.0.0"],
        ["10.0.0.0/8", "300.1.1.1"],
        ["169.254.0.0/16"],
        ["169.254.169.254"],
        ["fe80::/10"],
        ["224.0.0.0/4"],
        ["https://router.huggingface.co"],
        ["router.huggingface.co:443"],
        ["*.huggingface.co"],
        ["-a.example"],
        ["2130706433"],
    ],
)
def test_what_cannot_be_right_stops_the_start(written: list[str]) -> None:
    with pytest.raises(EnvError, match="ENGINE_NETWORKS"):
        engine_networks(written)
