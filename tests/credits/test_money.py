from decimal import Decimal

import pytest

from credits.errors import InvalidAmount
from credits.money import dollars_to_nano, format_dollars, marked_dollars, nano_to_dollars, short_dollars


@pytest.mark.parametrize(
    ("dollars", "nano"),
    [
        ("0", 0),
        ("1", 10**9),
        ("0.000000001", 1),
        ("-2.5", -2_500_000_000),
        ("+3.10", 3_100_000_000),
        ("0" * 15 + "1", 10**9),
    ],
)
def test_dollars_are_read_exactly(dollars: str, nano: int) -> None:
    assert dollars_to_nano(dollars) == nano
    assert nano_to_dollars(nano) == Decimal(dollars)


@pytest.mark.parametrize(
    "dollars",
    ["1e9", "NaN", "Infinity", ".5", "1.", "1.0000000001", "1000000001", "9" * 9_000, "-" + "9" * 13, " 1", "1\n"],
)
def test_what_is_not_plain_decimal_dollars_is_refused(dollars: str) -> None:
    with pytest.raises(InvalidAmount):
        dollars_to_nano(dollars)


@pytest.mark.parametrize(
    ("nano", "text"),
    [(0, "$0.00"), (1_234_500_000_000, "$1,234.50"), (-1, "-$0.000000001"), (220_000, "$0.00022")],
)
def test_amounts_are_written_exactly_for_people(nano: int, text: str) -> None:
    assert format_dollars(nano) == text


@pytest.mark.parametrize(
    ("nano", "short"),
    [
        (0, "$0.00"),
        (109_987_654_321, "$109.98"),
        (1_000_000_000, "$1.00"),
        (999_999_999, "$0.999"),
        (222_000, "$0.000222"),
        (12_345, "$0.0000123"),
        (7, "$0.000000007"),
        (-5_009_999_999, "-$5.00"),
    ],
)
def test_amounts_are_short_where_they_are_read_in_passing(nano: int, short: str) -> None:
    assert short_dollars(nano) == short


def test_a_shortened_amount_keeps_the_exact_one_beside_it() -> None:
    assert marked_dollars(12_340_000_001) == '<span title="$12.340000001">$12.34</span>'
    assert marked_dollars(12_340_000_000) == "$12.34"
