"""How often somebody may try to sign in, or to say what the present password is.

The limits count what was typed, whether somebody has that address or not, so nothing is learned from them.
"""

from typing import Final

from accounts.throttle import Throttle

WINDOW_SECONDS: Final = 15 * 60
ACCOUNT_ATTEMPTS: Final = 10
# A whole office may share one network.
NETWORK_ATTEMPTS: Final = 60
PASSWORD_ATTEMPTS: Final = 10

_accounts = Throttle("account", ACCOUNT_ATTEMPTS, WINDOW_SECONDS)
_networks = Throttle("network", NETWORK_ATTEMPTS, WINDOW_SECONDS)
_passwords = Throttle("password", PASSWORD_ATTEMPTS, WINDOW_SECONDS)


def take_attempt(account: str, network: str) -> int:
    """Count an attempt to sign in. Return 0, or the seconds to wait; then nothing may be checked."""
    return _networks.take(network) or _accounts.take(account)


def has_succeeded(account: str, network: str) -> None:
    """Let the account begin anew after a right password, and do not hold this attempt against the network."""
    _accounts.forget(account)
    _networks.give_back(network)


def take_password_attempt(user_id: int) -> int:
    """Count an attempt of somebody signed in to say the present password. Return 0, or the seconds to wait."""
    return _passwords.take(str(user_id))


def password_was_right(user_id: int) -> None:
    """Let the count of ``take_password_attempt`` begin anew."""
    _passwords.forget(str(user_id))
