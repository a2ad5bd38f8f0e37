"""How the endings of runs look, and how their costs come about."""

from typing import Final

from django import template

from console.templatetags.humane import grouped
from console.templatetags.money import per_million
from core.ids import request_id
from credits.money import format_dollars
from inference.models import Run

register = template.Library()
register.filter("request_id", request_id)

_GOOD: Final = (Run.Ending.STOP, Run.Ending.TOOL_CALLS)
# A token at so many micro-credits per million costs a thousandth of so many nano-credits.
_MICRO_MTOK_IN_NANO: Final = 1_000
_BAD: Final = (Run.Ending.TIMEOUT, Run.Ending.ENGINE_ERROR, Run.Ending.OUT_OF_CREDITS)


@register.filter
def ending_class(ending: str) -> str:
    """Return the class that an ending's pill has."""
    return "pill-accent" if ending in _GOOD else "pill-bad" if ending in _BAD else ""


@register.filter
def cost_sum(run: Run) -> str:
    """Write a run's cost as the sum of tokens times prices that it is; nothing where it is another."""
    price, cached = run.price, min(run.cached_tokens, run.prompt_tokens)
    parts = [
        (run.prompt_tokens - cached, price.input_microcredits_per_mtok),
        (cached, price.cached_input_microcredits_per_mtok),
        (run.delivered_tokens, price.output_microcredits_per_mtok),
    ]
    cost_nano = -(-sum(tokens * microcredits for tokens, microcredits in parts) // _MICRO_MTOK_IN_NANO)
    if not cost_nano or cost_nano != run.cost_nano:
        return ""
    terms = " + ".join(
        f"{grouped(tokens)} \u00d7 {per_million(each).removesuffix('.00')}/M" for tokens, each in parts if tokens
    )
    return f"{terms} = {format_dollars(cost_nano)}"
