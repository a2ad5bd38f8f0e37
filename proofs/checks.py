"""Teams with credits, requests on their accounts, and checks that the books are right afterwards."""

import asyncio
from collections.abc import Awaitable, Iterable
from typing import Final, TypeVar
from uuid import uuid4

from accounts.models import Team
from credits import ledger
from credits.errors import LedgerError
from credits.ledger import audit
from credits.models import NANO, Account

Result = TypeVar("Result")

# What one request costs, and for how many of them a balance or a budget is.
COST_NANO: Final = NANO
ANSWERS: Final = 10
ANSWER_SECONDS: Final = 120


class Disproved(Exception):
    """The ledger broke a promise; the message says which."""


def must(is_so: object, sentence: str) -> None:
    """Raise Disproved unless it is so."""
    if not is_so:
        raise Disproved(sentence)


def team_with(amount_nano: int) -> int:
    """Make a team with that much to spend, and return its account's id."""
    team = Team.objects.create(slug=f"proof-{uuid4().hex[:12]}")
    if amount_nano:
        ledger.grant(team.pk, amount_nano, reason="a proof", actor="prove")
    return team.pk


def must_add_up(account_id: int) -> Account:
    """Have the whole account checked: balance, holds, budgets, charges and chain."""
    problems = audit.check(account_id)
    must(not problems, "; ".join(problems[:3]))
    return Account.objects.get(pk=account_id)


async def take(
    account_id: int,
    amount_nano: int,
    *,
    project: str = "project-0",
    key: str = "key-0",
    seconds: float = 60,
    wait_seconds: float = 0,
) -> ledger.Held:
    """Take a hold for a run of its own."""
    return await ledger.hold(
        account_id,
        amount_nano,
        run=uuid4().hex,
        project=project,
        key=key,
        seconds=seconds,
        wait_seconds=wait_seconds,
    )


async def outcomes(awaitables: Iterable[Awaitable[Result]]) -> list[Result | LedgerError]:
    """Await all at once, in order; what the ledger refuses is an outcome too."""
    ended = await asyncio.gather(*awaitables, return_exceptions=True)
    for outcome in ended:
        if isinstance(outcome, BaseException) and not isinstance(outcome, LedgerError):
            raise outcome
    return ended  # type: ignore[return-value]  # every other error was raised
