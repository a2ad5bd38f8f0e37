"""How the endings of runs look."""

from typing import Final

from django import template

from core.ids import request_id
from inference.models import Run

register = template.Library()
register.filter("request_id", request_id)

_GOOD: Final = (Run.Ending.STOP, Run.Ending.TOOL_CALLS)
_BAD: Final = (Run.Ending.TIMEOUT, Run.Ending.ENGINE_ERROR, Run.Ending.OUT_OF_CREDITS)


@register.filter
def ending_class(ending: str) -> str:
    """Return the class that an ending's pill has."""
    return "pill-accent" if ending in _GOOD else "pill-bad" if ending in _BAD else ""
