"""What tokens cost: integers all the way, rounded up once, by less than one nano-credit."""

import msgspec

from inference.chunks import Usage

# Prices are micro-credits per million tokens, costs are nano-credits: tokens x price / 1,000.
_NANO_DIVISOR = 1_000


class Rates(msgspec.Struct, frozen=True):
    """One version of a model's price, in micro-credits per million tokens."""

    price_id: int
    starts_at: float
    input_microcredits_per_mtok: int
    output_microcredits_per_mtok: int
    cached_input_microcredits_per_mtok: int

    def cost_nano(self, usage: Usage) -> int:
        """Return the cost of ``usage`` in nano-credits; cached prompt tokens cost the cached rate."""
        cached = min(usage.cached_tokens, usage.prompt_tokens)
        total = (
            (usage.prompt_tokens - cached) * self.input_microcredits_per_mtok
            + cached * self.cached_input_microcredits_per_mtok
            + usage.completion_tokens * self.output_microcredits_per_mtok
        )
        return -(-total // _NANO_DIVISOR)

    def bound_nano(self, prompt_tokens: int, completion_tokens: int) -> int:
        """Return the most that this many tokens can cost, however many of them turn out to be cached."""
        total = prompt_tokens * self._dearest_input + completion_tokens * self.output_microcredits_per_mtok
        return -(-total // _NANO_DIVISOR)

    def completion_tokens_for(self, amount_nano: int, prompt_tokens: int) -> int:
        """Return how many generated tokens an amount pays for beside the prompt; the price of output is not zero."""
        left = amount_nano * _NANO_DIVISOR - prompt_tokens * self._dearest_input
        return max(0, left // self.output_microcredits_per_mtok)

    @property
    def _dearest_input(self) -> int:
        return max(self.input_microcredits_per_mtok, self.cached_input_microcredits_per_mtok)
