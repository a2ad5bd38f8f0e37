"""``manage.py bootstrap``: the operator, demo team, key and model that a fresh installation starts with."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from config import demo
from config.management.base import wait_for_database


class Command(BaseCommand):
    help = "Create the demo (operator, team, key, credits, model) once, and print its values."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        wait_for_database(self.stderr)
        try:
            made = demo.ensure()
        except demo.SecretsLost:
            sentence = (
                "The demo exists in this database, but bootstrap.json is not in DATA_DIR, so its login and key cannot "
                "be shown. `manage.py changepassword` and `manage.py create_key` make new ones."
            )
            if options["json"]:
                raise CommandError(sentence) from None
            self.stdout.write(sentence)
            return
        if options["json"]:
            self.stdout.write(json.dumps(made))
        else:
            self.stdout.write(f"The demo is in place: team {made['project']}, operator {made['admin']['email']}.")
