"""The models that a name stands for, as people write them and as they are kept: ``[{"model": …, "weight": …}, …]``.

People write ``owner/name=90``. One without a weight is asked only where those with one cannot answer.
"""

from collections.abc import Iterable
from typing import Any, Final

from django.core.exceptions import ValidationError

# A request that nobody answers is not passed on for ever.
MAX_TARGETS: Final = 10
MAX_WEIGHT: Final = 1_000


def read_targets(written: Iterable[str]) -> list[dict[str, Any]]:
    """Return targets as they are kept. Raises ValidationError for a weight that is no number."""
    targets = []
    for each in written:
        model_id, has_weight, weight = each.partition("=")
        if has_weight and not (weight.isascii() and weight.isdigit() and len(weight) < 10):
            raise ValidationError(f"A weight is a whole number, as in {model_id}=90, not {weight!r}.")
        targets.append({"model": model_id, "weight": int(weight) if has_weight else None})
    return targets


def written(targets: Iterable[dict[str, Any]]) -> list[str]:
    """Return targets as people write them."""
    return [each["model"] if each["weight"] is None else f"{each['model']}={each['weight']}" for each in targets]


def check_targets(targets: object) -> list[str]:
    """Return the targets' models, if what is kept has the right form. Raises ValidationError."""
    if not isinstance(targets, list) or not 1 <= len(targets) <= MAX_TARGETS:
        raise ValidationError(f"A name stands for 1 to {MAX_TARGETS} models.")
    for each in targets:
        if not (isinstance(each, dict) and each.keys() == {"model", "weight"} and isinstance(each["model"], str)):
            raise ValidationError('A target is kept as {"model": "owner/name", "weight": 90}.')
        weight = each["weight"]
        if weight is not None and (type(weight) is not int or not 1 <= weight <= MAX_WEIGHT):
            raise ValidationError(f"The weight of {each['model']} is from 1 to {MAX_WEIGHT}, or left out.")
    models = [each["model"] for each in targets]
    if len(set(models)) < len(models):
        raise ValidationError("Each model is named once.")
    return models
