"""Exact money: dollars as people write them, nano-credits as the ledger counts them. No float comes near."""

import re
from decimal import Decimal
from typing import Final

from django.utils.html import format_html
from django.utils.safestring import SafeString

from credits.errors import InvalidAmount

# Nano-credits in one credit, which is one US dollar.
NANO: Final = 1_000_000_000
# One amount may be at most a billion dollars, and so may a balance: above it, the unit was mistaken. Eight of these
# fit into the database's 64-bit columns, so no sum of a few amounts can overflow.
MAX_AMOUNT_NANO: Final = 1_000_000_000 * NANO

_DOLLARS = re.compile(r"([+-]?)([0-9]+)(?:\.([0-9]{1,9}))?", re.ASCII)
_MAX_DIGITS: Final = len(str(MAX_AMOUNT_NANO // NANO))
_NANO_IN_CENT: Final = NANO // 100
# So many digits of an amount below a dollar are read at a glance.
_SHORT_DIGITS: Final = 3


def dollars_to_nano(dollars: str) -> int:
    """Read plain decimal dollars, with at most 9 decimals, such as ``12.50``. Raises InvalidAmount."""
    written = _DOLLARS.fullmatch(dollars)
    if not written:
        raise InvalidAmount(f"{dollars!r} is not an amount: write dollars with at most 9 decimals, such as 12.50")
    sign, whole, fraction = written.groups(default="")
    if len(whole.lstrip("0")) > _MAX_DIGITS:
        raise InvalidAmount(f"{dollars[:40]!r} is beyond {_largest()}")
    nano = int(whole) * NANO + int(fraction.ljust(9, "0"))
    return checked_amount(-nano if sign == "-" else nano, minimum_nano=-MAX_AMOUNT_NANO)


def nano_to_dollars(nano: int) -> Decimal:
    """Return the exact dollars."""
    return Decimal(nano).scaleb(-9)


def format_dollars(nano: int) -> str:
    """Write an amount for people: ``$1,234.50``, ``-$0.000000001``; exact, with at least two decimals."""
    sign, whole, decimals = _parts(nano)
    return f"{sign}${whole:,}.{decimals}"


def short_dollars(nano: int) -> str:
    """Write an amount to the cent, or one below a dollar to three digits; never more than there is."""
    amount = abs(nano)
    unit = _NANO_IN_CENT if amount >= NANO else 10 ** max(len(str(amount)) - _SHORT_DIGITS, 0)
    rounded = amount // unit * unit
    return format_dollars(rounded if nano >= 0 else -rounded)


def marked_dollars(nano: int) -> SafeString:
    """Write an amount as ``short_dollars`` does, as HTML with the exact one where a pointer rests on it."""
    short, exact = short_dollars(nano), format_dollars(nano)
    return format_html("{}", exact) if short == exact else format_html('<span title="{}">{}</span>', exact, short)


def plain_dollars(nano: int) -> str:
    """Write a cost or a price as a plain number: ``1234.50``, ``0.000000001``; exact, with at least two decimals."""
    sign, whole, decimals = _parts(nano)
    return f"{sign}{whole}.{decimals}"


def _parts(nano: int) -> tuple[str, int, str]:
    whole, fraction = divmod(abs(nano), NANO)
    return "-" if nano < 0 else "", whole, f"{fraction:09}".rstrip("0").ljust(2, "0")


def checked_amount(nano: object, *, minimum_nano: int) -> int:
    """Return the amount if it is a true integer from the minimum to MAX_AMOUNT_NANO. Raises InvalidAmount."""
    if type(nano) is not int:
        raise InvalidAmount(f"an amount is a whole number of nano-credits, not {nano!r}")
    if abs(nano) > MAX_AMOUNT_NANO:
        raise InvalidAmount(f"{format_dollars(nano)} is beyond {_largest()}")
    if nano < minimum_nano:
        raise InvalidAmount(f"{format_dollars(nano)} is below the smallest amount, {format_dollars(minimum_nano)}")
    return nano


def _largest() -> str:
    return f"the largest amount, {format_dollars(MAX_AMOUNT_NANO)}"
