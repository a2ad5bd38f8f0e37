"""Browsers in which a person signed in before: a signed cookie says so, and opens nothing by itself."""

import secrets
from typing import Final

from django.core import signing
from django.utils.crypto import salted_hmac

COOKIE: Final = "parley_device"
COOKIE_SECONDS: Final = 365 * 86_400
# So many people may share a browser.
MAX_PEOPLE: Final = 5
_SALT: Final = "accounts.devices"


def device_of(cookie: str | None, account: str) -> str | None:
    """Return the browser's own name for an account that signed in here; None where it never did."""
    return _read(cookie).get(_alias(account))


def remembering(cookie: str | None, account: str) -> str:
    """Return the cookie with this account in it, the one who signed in last."""
    known = _read(cookie)
    name = known.pop(_alias(account), None) or secrets.token_hex(8)
    kept = dict(list(known.items())[1 - MAX_PEOPLE :])
    return signing.dumps(kept | {_alias(account): name}, salt=_SALT)


def _read(cookie: str | None) -> dict[str, str]:
    try:
        known: dict[str, str] = signing.loads(cookie or "", salt=_SALT, max_age=COOKIE_SECONDS)
    except signing.BadSignature:
        return {}
    return known


def _alias(account: str) -> str:
    """Return what stands for an address in the cookie, which whoever finds it cannot turn back."""
    return salted_hmac(_SALT, account.lower()).hexdigest()[:20]
