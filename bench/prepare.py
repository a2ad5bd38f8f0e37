"""Fill an empty DATA_DIR for the gateway's bench: one key with plenty of credits, one model for each upstream."""

import json
import os
import sys

import django


def main() -> None:
    """Migrate, create, and print the key."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    from django.core.management import call_command

    from accounts import keys
    from accounts.models import Team, User
    from credits import ledger
    from credits.models import NANO
    from inference.models import Model

    call_command("migrate", verbosity=0)
    owner = User.objects.create_user("bench@example.org")
    team = Team.objects.create_with_owner("bench", owner)
    ledger.grant(team.pk, 1_000_000 * NANO, reason="bench", actor="bench")
    for name, port in zip(("fast", "paced"), sys.argv[1:], strict=True):
        model = Model.objects.create(id=f"bench/model-{name}", name=name, context_tokens=8192)
        model.prices.create(
            input_microcredits_per_mtok=220_000,
            output_microcredits_per_mtok=220_000,
            cached_input_microcredits_per_mtok=110_000,
        )
        model.endpoints.create(kind="tgi", base_url=f"http://127.0.0.1:{port}", concurrency=10_000)
    print(json.dumps({"api_key": keys.create(name="bench", issuer=owner, team=team)[1]}))


if __name__ == "__main__":
    main()
