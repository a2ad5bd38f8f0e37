"""Form fields for money and thresholds: typed as people write them, cleaned to what the ledger takes."""

import re
from typing import Any, Final

from django import forms

from credits.errors import InvalidAmount
from credits.money import MAX_AMOUNT_NANO, dollars_to_nano, format_dollars

MAX_PERCENTS: Final = 12
# Longer than any amount and any list of thresholds; the rest is nobody's typing.
_MAX_TYPED: Final = 200


class DollarsField(forms.Field):
    """Dollars with at most 9 decimals and from nothing up; cleaned to nano-credits."""

    def __init__(self, **kwargs: Any) -> None:
        attributes = {"class": "input number-input", "inputmode": "decimal", "autocomplete": "off"}
        super().__init__(widget=forms.TextInput(attrs={**attributes, "maxlength": _MAX_TYPED}), **kwargs)

    def prepare_value(self, value: Any) -> Any:
        """Write an amount as it would be typed."""
        return format_dollars(value).replace(",", "").removeprefix("$") if isinstance(value, int) else value

    def to_python(self, value: Any) -> int | None:
        """Read what was typed, with or without a dollar sign. Raises ValidationError."""
        typed = str(value or "").strip().removeprefix("$").strip()
        if not typed:
            return None
        try:
            nano = dollars_to_nano(typed[:_MAX_TYPED])
        except InvalidAmount:
            raise forms.ValidationError(
                "Write plain dollars with at most 9 decimals, such as 12.50, up to "
                f"{format_dollars(MAX_AMOUNT_NANO)}. No commas."
            ) from None
        if nano < 0:
            raise forms.ValidationError("Write an amount of nothing or more.")
        return nano


class PercentsField(forms.Field):
    """Whole percentages from 1 to 100, by commas; cleaned to a sorted list."""

    def __init__(self, **kwargs: Any) -> None:
        attributes = {"class": "input", "inputmode": "text", "autocomplete": "off", "maxlength": _MAX_TYPED}
        super().__init__(required=False, widget=forms.TextInput(attrs=attributes), **kwargs)

    def prepare_value(self, value: Any) -> Any:
        """Write what the ledger keeps, or what was read, as people would."""
        if isinstance(value, list):
            return ", ".join(map(str, value))
        return value.replace(",", ", ") if isinstance(value, str) and "%" not in value and " " not in value else value

    def to_python(self, value: Any) -> list[int]:
        """Read what was typed, with or without percent signs. Raises ValidationError."""
        parts = [part for part in re.split(r"[\s,;%]+", str(value or "")[:_MAX_TYPED]) if part]
        if not all(re.fullmatch(r"[1-9][0-9]?|100", part, re.ASCII) for part in parts):
            raise forms.ValidationError("Write whole percentages from 1 to 100, separated by commas: 50, 80, 100.")
        percents = sorted({int(part) for part in parts})
        if len(percents) > MAX_PERCENTS:
            raise forms.ValidationError(f"At most {MAX_PERCENTS} thresholds fit.")
        return percents
