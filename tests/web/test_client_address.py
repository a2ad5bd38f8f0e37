"""Telling computers apart."""

import pytest
from django.test import RequestFactory
from pytest_django import Settings

from web.client_address import client_network


@pytest.mark.parametrize(
    ("proxies", "forwarded", "remote", "network"),
    [
        (0, "203.0.113.9", "192.0.2.1", "192.0.2.1"),
        (1, "6.6.6.6, 203.0.113.9", "10.0.0.1", "203.0.113.9"),
        (2, "6.6.6.6, 203.0.113.9, 10.0.0.2", "10.0.0.1", "203.0.113.9"),
        (1, "", "10.0.0.1", "10.0.0.1"),
        (3, "6.6.6.6", "10.0.0.1", "10.0.0.1"),
        (1, "not an address", "10.0.0.1", "10.0.0.1"),
        (0, "", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        (0, "", "::ffff:192.0.2.1", "192.0.2.1"),
        (0, "", "", "unknown"),
    ],
)
def test_only_what_our_own_proxies_wrote_is_believed(
    settings: Settings, proxies: int, forwarded: str, remote: str, network: str
) -> None:
    settings.TRUSTED_PROXIES = proxies
    request = RequestFactory().get("/", headers={"X-Forwarded-For": forwarded}, REMOTE_ADDR=remote)
    assert client_network(request) == network
