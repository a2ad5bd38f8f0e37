"""Numbers and times as people read them."""

from datetime import datetime

from django import template
from django.utils import timezone
from django.utils.timesince import timesince

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


@register.filter
def unlocalized(number: float) -> str:
    """Write a length of a drawing."""
    return f"{number:g}"
