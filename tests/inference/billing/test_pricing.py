"""Integer prices, rounded up once."""

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from inference.billing.pricing import Rates
from inference.chunks import Usage
from inference.models import MAX_PRICE_MICROCREDITS_PER_MTOK

prices = st.integers(0, MAX_PRICE_MICROCREDITS_PER_MTOK)
tokens = st.integers(0, 2**31 - 1)
rates = st.builds(Rates, st.just(1), st.just(0.0), prices, prices, prices)


def test_a_dollar_for_a_million_tokens_is_a_thousand_nano_for_each() -> None:
    rates = Rates(1, 0.0, 1_000_000, 2_000_000, 500_000)
    assert rates.cost_nano(Usage(10, 5)) == 10 * 1_000 + 5 * 2_000
    assert rates.cost_nano(Usage(10, 5, cached_tokens=4)) == 6 * 1_000 + 4 * 500 + 5 * 2_000


def test_the_smallest_price_costs_one_nano() -> None:
    rates = Rates(1, 0.0, 1, 0, 0)
    assert [rates.cost_nano(Usage(count, 0)) for count in (0, 1, 1_000, 1_001)] == [0, 1, 1, 2]


@settings(deadline=None)
@given(rates, tokens, tokens, tokens)
def test_a_cost_is_exact_but_for_less_than_one_nano(rates: Rates, prompt: int, completion: int, cached: int) -> None:
    cost = rates.cost_nano(Usage(prompt, completion, cached))
    cached = min(cached, prompt)
    exact = Fraction(
        (prompt - cached) * rates.input_microcredits_per_mtok
        + cached * rates.cached_input_microcredits_per_mtok
        + completion * rates.output_microcredits_per_mtok,
        1_000,
    )
    assert 0 <= cost - exact < 1


@settings(deadline=None)
@given(rates, tokens, tokens, tokens, tokens)
def test_no_answer_within_the_bound_costs_more_than_it(
    rates: Rates, prompt: int, completion: int, cached: int, fewer: int
) -> None:
    bound = rates.bound_nano(prompt, completion)
    usage = Usage(max(0, prompt - fewer % 3), max(0, completion - fewer), min(cached, prompt))
    assert rates.cost_nano(usage) <= bound


@settings(deadline=None)
@given(rates, tokens, tokens, tokens)
def test_an_amount_pays_for_as_many_tokens_as_it_says_and_no_more(
    rates: Rates, prompt: int, completion: int, cached: int
) -> None:
    if not rates.output_microcredits_per_mtok:
        return
    amount = rates.bound_nano(prompt, completion)
    paid = rates.completion_tokens_for(amount, prompt)
    assert paid >= completion
    assert rates.cost_nano(Usage(prompt, paid, min(cached, prompt))) <= amount < rates.bound_nano(prompt, paid + 1)


def test_an_amount_below_the_prompt_pays_for_no_answer() -> None:
    assert Rates(1, 0.0, 1_000_000, 1_000_000, 0).completion_tokens_for(99_999, 100) == 0
