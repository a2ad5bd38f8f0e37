"""Columns of money: whole numbers in known bounds, refused in Python and again by the database."""

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import BigIntegerField, Q
from django.db.models.functions import Cast

from credits.errors import InvalidAmount
from credits.money import MAX_AMOUNT_NANO

# For amounts that are never negative.
SANE: Final = [MinValueValidator(0), MaxValueValidator(MAX_AMOUNT_NANO)]
# A group's clock never runs behind the windows it meets, so a window in a far future would expire every hold.
LAST_WINDOW: Final = datetime(2200, 1, 1, tzinfo=UTC)

_WRITTEN = re.compile(r"[+-]?[0-9]{1,19}", re.ASCII)


class _AmountField(models.BigIntegerField):  # type: ignore[type-arg] # not generic at run time
    """A whole number and nothing else: Django would cut a fraction, count ``True`` as 1, and raise at infinity.

    To migrations, and to type checkers, it is the column that it is: a BigIntegerField.
    """

    def to_python(self, value: Any) -> int | None:
        """Return the value for validation. Raises ValidationError."""
        if not _is_whole(value):
            raise ValidationError("“%(value)s” is not a whole number.", code="invalid", params={"value": value})
        return None if value is None else int(value)

    def get_prep_value(self, value: Any) -> Any:
        """Return the value for the database. Raises InvalidAmount."""
        if not _is_whole(value):
            raise InvalidAmount(f"{self.name} is a whole number, not {value!r}")
        return super().get_prep_value(value)

    def deconstruct(self) -> Any:
        """Describe the column, not this class: what is refused in Python needs no migration."""
        name, _, arguments, options = super().deconstruct()
        return name, "django.db.models.BigIntegerField", arguments, options


if TYPE_CHECKING:
    AmountField = models.BigIntegerField
else:
    AmountField = _AmountField


def whole(field: str, minimum: int, maximum: int = MAX_AMOUNT_NANO) -> Q:
    """Return the condition that a column holds a whole number in the bounds.

    The comparison with its cast is for SQLite, which would keep a fraction in a column of integers.
    """
    is_bounded = Q(**{f"{field}__lte": maximum}) & Q(**{field: Cast(field, BigIntegerField())})
    return is_bounded & Q(**{f"{field}__gte": minimum})


def is_month(field: str) -> Q:
    """Return the condition that a column holds a month such as 2026-01, and none in a far future."""
    return Q(**{f"{field}__gte": "1970-01", f"{field}__lt": f"{LAST_WINDOW:%Y-%m}"})


def _is_whole(value: Any) -> bool:
    if isinstance(value, str):
        return bool(_WRITTEN.fullmatch(value))
    return value is None or (isinstance(value, int) and not isinstance(value, bool))
