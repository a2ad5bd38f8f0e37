"""A web process that is killed at any moment, under load: nothing is charged twice, lost, or held for ever."""

import asyncio
import random
import tempfile
from pathlib import Path
from typing import Final
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from credits import ledger
from credits.budgets import limits
from credits.models import NANO, Account, Entry, Hold
from inference.models import Run
from proofs.checks import must, must_add_up
from tests.fakes.script import Script
from tests.fakes.tgi import FakeTgi
from tests.inference.scenes import INPUT_NANO, OUTPUT_NANO
from tests.patience import until
from tests.proofs.customers import SERVERS, Customer, caller_in, customer, model_on, web
from tests.proofs.load import Load, Seen

# Far more than all can spend, so that nobody is refused.
PLENTY_NANO: Final = 1_000 * NANO
# Holds grow many times in an answer, and outlive their process by far; keys are free again soon.
SETTINGS: Final = {
    "SLICE_TOKENS": "16",
    "MINIMUM_ANSWER_TOKENS": "2",
    "IDEMPOTENCY_LEASE_SECONDS": "3",
    "RECONNECT_GRACE_SECONDS": "1",
}


def killed_under_load(times: int) -> str:
    """Kill the web process again and again, look at the books each time, and again after the last hold's expiry."""
    often = customer(PLENTY_NANO)
    once = caller_in(often.team.projects.create(slug="once"), often.team.memberships.get().user)
    for scope, reference in (("team", ""), ("project", str(once.project.pk)), ("key", often.key_id)):
        limits.set_budget(often.team.pk, scope=scope, reference=reference, period="day", limit_nano=PLENTY_NANO // 2)
    seen, chance = Seen(), random.Random(7)
    outliving: set[UUID] = set()
    with FakeTgi(Script(between=0.01)) as engine, tempfile.TemporaryDirectory(prefix="parley-proof-") as folder:
        model = model_on(engine)
        for life in range(times + 1):
            process = web(Path(folder), SERVERS[life % len(SERVERS)], **SETTINGS).start()
            must(
                not _open_holds(often.team.pk).exists(), "what a dead process held was not given back at the next start"
            )
            load = Load(process.url, model, often, once, seen, chance, life)
            try:
                if life == times:
                    asyncio.run(load.finish())
                else:
                    asyncio.run(load.until_killed(process.kill))
                    outliving.update(_open_holds(often.team.pk).values_list("pk", flat=True))
            finally:
                process.kill()
            _must_be_right(often, seen)
    until(lambda: _is_free(often.team.pk))
    _must_be_right(often, seen)
    _must_be_once(once, seen)
    must(outliving, "no request was under way when the process died")
    return (
        f"A web process was killed {times} times while it answered; {len(outliving)} holds outlived it, until "
        f"its next start. "
        f"Each time the entries added up to the balance. Of {len(seen.answered)} answers that came to their end, each "
        f"was charged once; {seen.left} were left early. {len(seen.once)} requests with an Idempotency-Key, "
        f"{len(seen.cut_off)} of which were cut off and asked again, were answered by one run and charged once each."
    )


def _must_be_right(who: Customer, seen: Seen) -> None:
    """Have the books checked, against themselves, the runs, and what clients know."""
    must_add_up(who.team.pk)
    with transaction.atomic():
        # PostgreSQL may still be at what the killed process asked for last; with the lock, it is done or will not be.
        Account.objects.select_for_update().get(pk=who.team.pk)
        _must_be_explained(who, seen)


def _must_be_explained(who: Customer, seen: Seen) -> None:
    entries = Entry.objects.filter(account=who.team.pk, kind=Entry.Kind.CHARGE)
    charges = dict(entries.values_list("run", "amount_nano"))
    must(len(charges) == entries.count(), "a run was charged twice")
    must(not entries.exclude(lost_nano=0).exists(), "a charge was lost")
    runs = Run.objects.filter(project__team=who.team, cost_nano__gt=0)
    costs = dict(runs.values_list("id", "cost_nano"))
    must({run: -amount for run, amount in charges.items()} == costs, "the charges are not those of the runs")
    for prompt, completion, cost_nano in runs.values_list("prompt_tokens", "delivered_tokens", "cost_nano"):
        must(cost_nano == prompt * INPUT_NANO + completion * OUTPUT_NANO, "a charge is not that of its tokens")
    must(seen.answered <= charges.keys(), "an answer that came to its end was not charged")


def _must_be_once(once: Customer, seen: Seen) -> None:
    """However often a key was sent, and in how many lives: one run answers for it, and nothing else was charged."""
    charged = set(Run.objects.filter(project=once.project, cost_nano__gt=0).values_list("id", flat=True))
    must(len(set(seen.once.values())) == len(seen.once), "a run answered for two keys")
    must(charged == set(seen.once.values()), f"{len(charged)} runs were charged for {len(seen.once)} keys")


def _is_free(account_id: int) -> bool:
    """Bring the account up to date; whether nothing is held any more."""
    ledger.touch(account_id)
    return must_add_up(account_id).held_nano == 0 and not _open_holds(account_id).exists()


def _open_holds(account_id: int) -> "QuerySet[Hold]":
    return Hold.objects.filter(account=account_id, state=Hold.State.OPEN)
