"""``manage.py set_alias``: what a name may stand for."""

import json

import pytest
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.core.management.base import CommandError

from inference.models import Alias, Model

pytestmark = [pytest.mark.django_db, pytest.mark.either_database]


@pytest.fixture(autouse=True)
def _models() -> None:
    for name in ("org/a", "org/b", "org/c"):
        Model.objects.create(id=name, name=name, context_tokens=8)


def test_a_name_stands_for_models_until_it_is_removed(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("set_alias", "fast", "org/a=90", "org/b=10", "org/c")
    assert capsys.readouterr().out == "fast stands for org/a=90, org/b=10, org/c.\n"
    targets = [("org/a", 90), ("org/b", 10), ("org/c", None)]
    kept = [{"model": model, "weight": weight} for model, weight in targets]
    assert Alias.objects.get().targets == kept
    call_command("set_alias", "fast", "org/c", "--json")
    told = {"alias": "fast", "targets": [{"model": "org/c", "weight": None}], "is_new": False}
    assert json.loads(capsys.readouterr().out) == told
    call_command("set_alias", "fast", "--remove")
    assert not Alias.objects.exists()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["fast", "org/a=0"], "The weight of org/a is from 1 to 1000"),
        (["fast", "org/a=1001"], "The weight of org/a is from 1 to 1000"),
        (["fast", "org/a=-1"], "A weight is a whole number"),
        (["fast", "org/a=½"], "A weight is a whole number"),
        (["fast", "org/a="], "A weight is a whole number"),
        (["fast", "org/d"], "There is no model org/d."),
        (["fast", "org/a\nb"], "There is no model org/a"),
        (["fast", "other"], "other is an alias"),
        (["other", "other"], "other is an alias"),
        (["fast", "org/a", "org/a=2"], "Each model is named once."),
        (["fast", *["org/a"] * 11], "A name stands for 1 to 10 models."),
        (["org/b", "org/a"], "org/b is a model."),
        (["no name", "org/a"], "Use owner/name."),
        (["fast"], "or --remove"),
        (["fast", "org/a", "--remove"], "or --remove"),
        (["fast", "--remove"], "There is no alias fast."),
    ],
)
def test_a_name_stands_for_nothing_else(arguments: list[str], reason: str) -> None:
    call_command("set_alias", "other", "org/c")
    with pytest.raises(CommandError, match=reason):
        call_command("set_alias", *arguments)
    assert [alias.name for alias in Alias.objects.all()] == ["other"]


@pytest.mark.parametrize("targets", [{}, [], "org/a", [1], [{"model": "org/a"}], [{"model": "org/a", "weight": True}]])
def test_what_is_kept_has_one_form(targets: object) -> None:
    with pytest.raises(ValidationError):
        Alias(name="fast", targets=targets).full_clean()


def test_a_model_cannot_have_an_aliass_name() -> None:
    call_command("set_alias", "fast", "org/c")
    with pytest.raises(ValidationError, match="fast is the name of an alias"):
        Model(id="fast", name="Fast", context_tokens=8).full_clean(exclude=["features", "modalities"])
