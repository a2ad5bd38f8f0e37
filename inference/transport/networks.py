"""Where engines may be called: only in ENGINE_NETWORKS, and a connection goes to the very address that was checked.

A name is looked up once for each connection, and all of its addresses have to be allowed: nothing is asked twice, so a
name that changes its mind in between leads nowhere else.
"""

import asyncio
import ipaddress
import re
import socket
from collections.abc import Iterable
from functools import lru_cache

from django.conf import settings

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# Where no engine is, whatever the operator allows: nowhere, everyone, the neighbours on a link (where clouds answer
# with their secrets; some do so elsewhere too), and addresses of the new kind that stand for any of the old kind.
NEVER = tuple(
    map(
        ipaddress.ip_network,
        (
            *("0.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4", "100.100.100.200/32"),
            *("::/128", "fe80::/10", "ff00::/8", "fd00:ec2::254/128"),
            *("::/96", "64:ff9b::/96", "64:ff9b:1::/48", "2001::/32", "2002::/16"),
        ),
    )
)
_LOOPBACK = ipaddress.ip_address("::1")
# Names that end like this are numbers to the system's resolver: decimal, octal, hexadecimal.
_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)\.?", re.IGNORECASE)


class AddressRefused(Exception):
    """No engine may be there; the message is for operators."""


def literal(host: str) -> Address | None:
    """Return the address that a host is written as; None for a name. Raises AddressRefused for a number in disguise."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        if _NUMBER.fullmatch(host):
            raise AddressRefused(f"{host} is neither a name nor an address of four numbers.") from None
        return None


def check(host: str, addresses: Iterable[Address]) -> None:
    """Refuse a host unless an engine may be at each of its addresses. Raises AddressRefused."""
    is_named = host.lower().rstrip(".") in settings.ENGINE_HOSTS
    for address in addresses:
        if not _is_allowed(address, settings.ENGINE_NETWORKS, is_named=is_named):
            place = f"{host} is at {address}, which" if str(address) != host else host
            raise AddressRefused(f"{place} is outside of ENGINE_NETWORKS.")


def check_host(host: str) -> None:
    """Refuse a host where no engine may be; a name that nobody knows yet is decided when it is called.

    Waits for the system's resolver. Raises AddressRefused.
    """
    address = literal(host)
    if address:
        check(host, [address])
        return
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return
    check(host, _addresses(found))


async def resolve(loop: asyncio.AbstractEventLoop, host: str, port: int) -> list[str]:
    """Return the addresses to connect to, best first. Raises AddressRefused, and OSError for an unknown name."""
    address = literal(host)
    if address:
        check(host, [address])
        return [host]
    found = _addresses(await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    if not found:
        raise OSError(f"{host} has no address")
    check(host, found)
    return [str(address) for address in found]


def _addresses(found: Iterable[tuple[object, object, object, object, tuple[object, ...]]]) -> list[Address]:
    return list(dict.fromkeys(ipaddress.ip_address(str(place[0])) for *_, place in found))


@lru_cache(maxsize=1024)
def _is_allowed(
    address: Address, networks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...], *, is_named: bool
) -> bool:
    """Whether an engine may be there; a server that is allowed by its name may be anywhere in public."""
    address = getattr(address, "ipv4_mapped", None) or address
    if address != _LOOPBACK and any(address in network for network in NEVER):
        return False
    return any(address in network for network in networks) or (is_named and address.is_global)
