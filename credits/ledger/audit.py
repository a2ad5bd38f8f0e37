"""Checks that an account is explained by its entries and its holds."""

from collections.abc import Iterator

from django.db import transaction
from django.db.models import Sum

from credits.budgets.limits import open_holds, total_nano, window_charges
from credits.ledger.hashing import EntryRecord, chain_problems
from credits.models import Account, Budget, Entry, Hold

CHUNK_ROWS = 2_000


def check(account_id: int) -> list[str]:
    """Name everything about the account that does not add up, the first entry that does not fit before all else.

    The sums are read under the account's lock, so no group is seen half done; the chain is read after it, up to the
    head that was seen, because entries do not change.
    """
    with transaction.atomic():
        account = Account.objects.select_for_update().get(pk=account_id)
        problems = [*_balance_problems(account), *_charge_problems(account), *_budget_problems(account)]
    return [*chain_problems(entries(account_id, account.entry_count)), *problems]


def entries(account_id: int, until_sequence: int | None = None) -> Iterator[EntryRecord]:
    """Read the account's entries in order, up to one or all of them.

    Some at a time, so that no query stays open while a slow reader takes them.
    """
    rows = Entry.objects.filter(account=account_id).order_by("sequence").values_list(*EntryRecord._fields)
    if until_sequence is not None:
        rows = rows.filter(sequence__lte=until_sequence)
    found = list(rows[:CHUNK_ROWS])
    while found:
        yield from (EntryRecord(*row) for row in found)
        found = list(rows.filter(sequence__gt=found[-1][1])[:CHUNK_ROWS])


def _balance_problems(account: Account) -> Iterator[str]:
    name = f"account {account.pk}"
    total_nano = account.entries.aggregate(total=Sum("amount_nano"))["total"] or 0
    if account.balance_nano != total_nano:
        yield f"{name} has a balance of {account.balance_nano}, but its entries add up to {total_nano}"
    held_nano = account.holds.filter(state=Hold.State.OPEN).aggregate(total=Sum("amount_nano"))["total"] or 0
    if account.held_nano != held_nano:
        yield f"{name} holds {account.held_nano}, but its open holds add up to {held_nano}"
    head = account.entries.order_by("-sequence").values_list("sequence", "hash").first() or (0, "")
    if (account.entry_count, account.entry_hash) != head:
        yield f"{name} ends with entry {account.entry_count}, but the last one there is {head[0]}"


def _charge_problems(account: Account) -> Iterator[str]:
    charged = account.entries.filter(kind=Entry.Kind.CHARGE).values_list("run", flat=True)
    settled = account.holds.filter(state=Hold.State.SETTLED).values_list("run", flat=True)
    for run in settled.difference(charged):
        yield f"account {account.pk} settled run {run} without a charge"
    for run in charged.difference(settled):
        yield f"account {account.pk} charged run {run} without a settled hold"


def _budget_problems(account: Account) -> Iterator[str]:
    for budget in account.budgets.order_by("pk"):
        name = f"account {account.pk}: the {budget}"
        spent_nano, held_nano = -total_nano(window_charges(budget)), total_nano(open_holds(budget))
        if budget.spent_nano != spent_nano:
            yield f"{name} says that {budget.spent_nano} was spent, but its window's charges add up to {spent_nano}"
        if budget.held_nano != held_nano:
            yield f"{name} holds {budget.held_nano}, but its open holds add up to {held_nano}"
    caps = list(account.budgets.filter(origin=Budget.Origin.PLAN).values_list("limit_nano", flat=True))
    due = [] if account.plan is None or account.plan.monthly_cap_nano is None else [account.plan.monthly_cap_nano]
    if caps != due:
        yield f"account {account.pk} has the plan's caps {caps}, but its plan says {due}"
