"""Amounts as people read them."""

from typing import Final

from django import template

from credits.money import format_dollars, marked_dollars, short_dollars

register = template.Library()
register.filter("dollars", format_dollars)
register.filter("money", marked_dollars)
register.filter("short_dollars", short_dollars)

_NANO_IN_MICRO: Final = 1_000


@register.filter
def per_million(microcredits_per_mtok: int) -> str:
    """Write a price as dollars for a million tokens."""
    return format_dollars(microcredits_per_mtok * _NANO_IN_MICRO)
