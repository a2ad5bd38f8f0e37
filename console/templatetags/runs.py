"""Why runs end, in the words of people."""

from typing import Final

from django import template

from inference.models import Run

register = template.Library()

_REASONS: Final = {
    Run.Ending.STOP: "the model was finished",
    Run.Ending.LENGTH: "the token limit was reached",
    Run.Ending.TOOL_CALLS: "the model asked for a tool",
    Run.Ending.CONTENT_FILTER: "the engine filtered the rest",
    Run.Ending.DISCONNECTED: "the caller went away",
    Run.Ending.STOPPED: "the caller stopped it",
    Run.Ending.SLOW_READER: "the caller read too slowly",
    Run.Ending.TIMEOUT: "the engine took too long",
    Run.Ending.ENGINE_ERROR: "the engine failed",
    Run.Ending.REVOKED: "the caller lost access",
    Run.Ending.SHUTDOWN: "the server was shut down",
    Run.Ending.OUT_OF_CREDITS: "the credits ran out",
}
_GOOD: Final = (Run.Ending.STOP, Run.Ending.TOOL_CALLS)
_BAD: Final = (Run.Ending.TIMEOUT, Run.Ending.ENGINE_ERROR, Run.Ending.OUT_OF_CREDITS)


@register.filter
def why(ending: str) -> str:
    """Say why a run ended."""
    return _REASONS[Run.Ending(ending)]


@register.filter
def ending_class(ending: str) -> str:
    """Return the class that an ending's pill has."""
    return "pill-accent" if ending in _GOOD else "pill-bad" if ending in _BAD else ""
