from decimal import Decimal

import pytest

from credits.errors import InvalidAmount
from credits.money import dollars_to_nano, format_dollars, nano_to_dollars


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
