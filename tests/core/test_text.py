"""Text from outside shows as what it is: it moves no cursor, reorders no line and hides nothing."""

import pytest
from django.core.exceptions import ValidationError

from core.text import escaped, one_line, validate_line, validate_name

HOSTILE = {
    "\x1b[2J": r"\x1b[2J",
    "\x9b31m": r"\x9b31m",
    "\rover": r"\rover",
    "a\nb": r"a\nb",
    "a\u2028b": r"a\u2028b",
    "\u202eevil\u202c": r"\u202eevil\u202c",
    "zero\u200bwidth": r"zero\u200bwidth",
    "\ud800": r"\ud800",
    "\U000e0041tag": r"\U000e0041tag",
}


@pytest.mark.parametrize(("text", "shown"), HOSTILE.items())
def test_what_is_not_seen_is_refused_in_names_and_escaped_elsewhere(text: str, shown: str) -> None:
    assert escaped(text) == shown
    assert one_line(text).isprintable()
    with pytest.raises(ValidationError):
        validate_line(text)


@pytest.mark.parametrize("text", ["Ada", "아다 러브레이스", "לאה", "👩\u200d💻", "naïve café", "می\u200cرود"])
def test_what_people_write_stays(text: str) -> None:
    assert (escaped(text), one_line(text)) == (text, text)


@pytest.mark.parametrize("text", [" owl", "owl ", " ", "", "owl\u00a0", "\x1b[2Jowl"])
def test_a_name_has_nothing_around_it(text: str) -> None:
    with pytest.raises(ValidationError):
        validate_name(text)
    validate_name("barn owl")
