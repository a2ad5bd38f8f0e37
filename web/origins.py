"""Which pages may open a socket: only this site's own. A browser sends cookies along for any page that asks."""

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.http.request import split_domain_port, validate_host

_DEFAULT_PORTS = {"http": "80", "https": "443"}


def is_same_origin(scope: dict[str, Any]) -> bool:
    """Whether a handshake comes from a page of this site: its one Origin is exactly what its one Host serves."""
    origins = [value for name, value in scope["headers"] if name == b"origin"]
    hosts = [value for name, value in scope["headers"] if name == b"host"]
    if len(origins) != 1 or len(hosts) != 1:
        return False
    host, port = split_domain_port(hosts[0].decode("latin-1"))
    if not host or not validate_host(host, settings.ALLOWED_HOSTS):
        return False
    scheme = _scheme(scope)
    # Compared as text with what is trusted already: where no hostile origin is parsed, no parser can be fooled.
    accepted = {f"{scheme}://{host}:{port}"} if port else {f"{scheme}://{host}"}
    if port == _DEFAULT_PORTS[scheme]:
        accepted.add(f"{scheme}://{host}")
    return origins[0].decode("latin-1") in accepted


def _scheme(scope: dict[str, Any]) -> str:
    """Return what browsers call this site's scheme; behind a proxy only PUBLIC_URL knows of the TLS in front."""
    return "https" if scope.get("scheme") == "wss" else urlsplit(settings.PUBLIC_URL).scheme
