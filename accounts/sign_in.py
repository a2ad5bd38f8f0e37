"""How often somebody may try to sign in, to give a code, or to say what the present password is.

The limits count what was typed, whether somebody has that address or not, so nothing is learned from them. A stranger
cannot lock anybody out: tries from one network count for that network alone, a browser in which the person signed in
before has tries of its own, and a code of the second factor passes where tries from everywhere are too many.
"""

from typing import Final

from accounts.throttle import Throttle

WINDOW_SECONDS: Final = 15 * 60
ACCOUNT_ATTEMPTS: Final = 10
# A whole office may share one network.
NETWORK_ATTEMPTS: Final = 60
# Of one account from all networks in which it is not at home: what a guess by many machines gets.
STRANGERS_ATTEMPTS: Final = 50
PASSWORD_ATTEMPTS: Final = 10
CODE_ATTEMPTS: Final = 10

_accounts = Throttle("account", ACCOUNT_ATTEMPTS, WINDOW_SECONDS)
_networks = Throttle("network", NETWORK_ATTEMPTS, WINDOW_SECONDS)
_strangers = Throttle("strangers", STRANGERS_ATTEMPTS, WINDOW_SECONDS)
_devices = Throttle("device", ACCOUNT_ATTEMPTS, WINDOW_SECONDS)
_passwords = Throttle("password", PASSWORD_ATTEMPTS, WINDOW_SECONDS)
_codes = Throttle("code", CODE_ATTEMPTS, WINDOW_SECONDS)


def take_attempt(account: str, network: str, device: str | None = None, *, has_code: bool = False) -> int:
    """Count an attempt to sign in. Return 0, or the seconds to wait; then nothing may be checked.

    ``device`` is what ``accounts.devices`` knows of the browser. With ``has_code`` a code must be right, too.
    """
    if device:
        return _devices.take(device)
    wait_seconds = _networks.take(network) or _accounts.take(f"{account} {network}")
    return wait_seconds or (0 if has_code else _strangers.take(account))


def has_succeeded(account: str, network: str, device: str | None = None) -> None:
    """Let the browser or network begin anew after a right password, and hold this attempt against nobody."""
    if device:
        _devices.forget(device)
        return
    _accounts.forget(f"{account} {network}")
    _networks.give_back(network)
    _strangers.give_back(account)


def take_code_attempt(user_id: int, network: str) -> int:
    """Count an attempt to give a code, after a right password. Return 0, or the seconds to wait."""
    return _codes.take(f"{user_id} {network}")


def take_password_attempt(user_id: int) -> int:
    """Count an attempt of somebody signed in to say the present password. Return 0, or the seconds to wait."""
    return _passwords.take(str(user_id))


def password_was_right(user_id: int) -> None:
    """Let the count of ``take_password_attempt`` begin anew."""
    _passwords.forget(str(user_id))
