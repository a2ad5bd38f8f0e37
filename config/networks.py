"""Where the models' servers may be: networks, and names that may also be outside of them."""

import ipaddress
import re
from collections.abc import Iterable

from environs import EnvError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# This machine and private networks: RFC 1918 and RFC 4193.
PRIVATE = ("127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")

_EMBEDDED = ipaddress.ip_address("127.0.0.1")
_NAME = re.compile(r"(?=.*[a-z])(?!-)[a-z0-9-]{1,63}(\.(?!-)[a-z0-9-]{1,63})*")


def engine_networks(written: Iterable[str]) -> tuple[tuple[Network, ...], frozenset[str]]:
    """Return the networks and the names in a list of both.

    Raises EnvError for what is neither, and for networks in which there can be no engine.
    """
    networks: list[Network] = []
    names: set[str] = set()
    for each in (each.strip().lower() for each in written):
        network = _network(each)
        if network and not (network.is_link_local or network.is_multicast):
            networks.append(network)
        elif not network and _NAME.fullmatch(each):
            names.add(each)
        else:
            raise EnvError(
                'Environment variable "ENGINE_NETWORKS" is a list of networks such as 10.0.0.0/8 and names of servers '
                f"such as router.huggingface.co, which {each!r} is neither"
            )
    if not (networks or names):
        raise EnvError('Environment variable "ENGINE_NETWORKS" must not be empty: no engine could be reached')
    return tuple(networks), frozenset(names)


def check_embedded(networks: Iterable[Network]) -> None:
    """Refuse networks in which the embedded engine is not. Raises EnvError."""
    if not any(_EMBEDDED in network for network in networks):
        raise EnvError(
            f'Environment variable "ENGINE_NETWORKS" leaves out {_EMBEDDED}, where the embedded engine is: '
            "add it, or set EMBEDDED_ENGINE=false"
        )


def _network(written: str) -> Network | None:
    """Read a network; None for anything else, such as one with an address beside its prefix."""
    try:
        return ipaddress.ip_network(written)
    except ValueError:
        return None
