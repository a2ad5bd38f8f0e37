"""Numbers and times as people read them."""

from datetime import datetime
from typing import Final

from django import template
from django.utils import timezone
from django.utils.timesince import timesince

from credits.errors import PERIODS

register = template.Library()


@register.filter
def grouped(number: int) -> str:
    """Write 1234567 as 1,234,567."""
    return f"{number:,}"


@register.filter
def ago(moment: datetime) -> str:
    """Say how long ago something was; last uses are known to the minute."""
    if (timezone.now() - moment).total_seconds() < 120:
        return "just now"
    return f"{timesince(moment, depth=1)} ago"


_BROWSERS: Final = (
    ("Edg", "Edge"),
    ("OPR", "Opera"),
    ("Firefox", "Firefox"),
    ("Chrome", "Chrome"),
    ("Safari", "Safari"),
)
_SYSTEMS: Final = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)


@register.filter
def browser_name(agent: str) -> str:
    """Name a browser and its system by what it calls itself; the names are as good as its word."""
    browser = next((name for mark, name in _BROWSERS if mark in agent), agent[:40] or "Unknown browser")
    system = next((name for mark, name in _SYSTEMS if mark in agent), "")
    return f"{browser} on {system}" if system and browser != agent[:40] else browser


@register.filter
def unlocalized(number: float) -> str:
    """Write a length of a drawing."""
    return f"{number:g}"


@register.filter
def short_time(seconds: float | None) -> str:
    """Write a short time with as many digits as matter."""
    if seconds is None:
        return "none"
    return f"{seconds * 1_000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


@register.filter
def at_most(number: int, limit: int) -> int:
    """Cut a number at a limit."""
    return min(number, limit)


@register.filter
def percents(written: str) -> str:
    """Write a budget's thresholds as people do: ``50, 80 and 100%``."""
    *rest, last = written.split(",")
    return f"{', '.join(rest)} and {last}%" if rest else f"{last}%"


@register.filter
def period(name: str) -> str:
    """Say over what a budget counts."""
    return {"total": "In all", "day": "Each day", "month": "Each month"}[name]


@register.filter
def period_adjective(name: str) -> str:
    """Say it as a budget's adjective."""
    return PERIODS[name]
