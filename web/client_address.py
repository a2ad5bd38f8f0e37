"""Whose computer a request comes from, as far as that can be known."""

from ipaddress import IPv6Address, ip_address, ip_network

from django.conf import settings
from django.http import HttpRequest

# What one household or one server is given; counting single addresses would count nothing.
_IPV6_NETWORK_BITS = 64


def client_network(request: HttpRequest) -> str:
    """Return the client's IPv4 address or IPv6 network, as our own outermost proxy saw it.

    Only the last TRUSTED_PROXIES entries of ``X-Forwarded-For`` were written by our proxies; the rest is hearsay.
    """
    forwarded = request.headers.get("X-Forwarded-For", "").split(",")
    proxies = settings.TRUSTED_PROXIES
    seen = forwarded[-proxies] if 0 < proxies <= len(forwarded) else ""
    return network_of(seen.strip()) or network_of(request.META.get("REMOTE_ADDR", "")) or "unknown"


def network_of(written: str) -> str | None:
    """Return an IPv4 address, or the network that an IPv6 address is in; None for what is no address."""
    try:
        address = ip_address(written)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        return str(address.ipv4_mapped or ip_network((address, _IPV6_NETWORK_BITS), strict=False))
    return str(address)
