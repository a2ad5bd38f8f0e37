"""Amounts as people read them."""

from typing import Final

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from credits.money import NANO, format_dollars

register = template.Library()
register.filter("dollars", format_dollars)

_NANO_IN_MICRO: Final = 1_000
_NANO_IN_CENT: Final = NANO // 100
_DIGITS: Final = 3


@register.filter
def short_dollars(nano: int) -> str:
    """Write an amount to the cent, or one below a dollar to three digits; never more than there is."""
    amount = abs(nano)
    unit = _NANO_IN_CENT if amount >= NANO else 10 ** max(len(str(amount)) - _DIGITS, 0)
    rounded = amount // unit * unit
    return format_dollars(rounded if nano >= 0 else -rounded)


@register.filter
def money(nano: int) -> SafeString:
    """Write an amount as ``short_dollars`` does, with the exact one where a pointer rests on it."""
    short, exact = short_dollars(nano), format_dollars(nano)
    return format_html("{}", exact) if short == exact else format_html('<span title="{}">{}</span>', exact, short)


@register.filter
def per_million(microcredits_per_mtok: int) -> str:
    """Write a price as dollars for a million tokens."""
    return format_dollars(microcredits_per_mtok * _NANO_IN_MICRO)
