"""``manage.py set_alias fast owner/big=90 owner/small=10 owner/other``."""

import json
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from core.text import escaped
from inference.catalog.aliases import read_targets, written
from inference.models import Alias


class Command(BaseCommand):
    """Has a name stand for models."""

    help = "Have a name stand for models. Those with a weight share its requests, the others follow in their order."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the arguments."""
        parser.add_argument("name", help="what callers name instead of a model, such as fast")
        parser.add_argument("targets", nargs="*", metavar="MODEL[=WEIGHT]", help="such as owner/name=90")
        parser.add_argument("--remove", action="store_true", help="have the name stand for nothing any more")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *, name: str, targets: list[str], remove: bool, **options: Any) -> None:
        """Write the alias, or remove it."""
        if remove == bool(targets):
            raise CommandError("Give the models that the name stands for, or --remove.")
        if remove:
            removed, _ = Alias.objects.filter(pk=name).delete()
            if not removed:
                raise CommandError(f"There is no alias {escaped(name)}.")
            self._tell({"alias": name, "is_removed": True}, f"{name} stands for nothing any more.", **options)
            return
        try:
            alias, is_new = _set(name, targets)
        except ValidationError as error:
            raise CommandError(escaped(" ".join(error.messages))) from error
        told = {"alias": name, "targets": alias.targets, "is_new": is_new}
        self._tell(told, f"{name} stands for {', '.join(written(alias.targets))}.", **options)

    def _tell(self, told: dict[str, Any], sentence: str, **options: Any) -> None:
        self.stdout.write(json.dumps(told) if options["json"] else escaped(sentence))


@transaction.atomic
def _set(name: str, targets: list[str]) -> tuple[Alias, bool]:
    """Add an alias or bring it up to date; say whether it is new. Raises ValidationError."""
    known = Alias.objects.select_for_update().filter(pk=name).first()
    alias = known or Alias(name=name)
    alias.targets = read_targets(targets)
    alias.full_clean(validate_unique=False)
    alias.save()
    return alias, known is None
