"""Many requests at once on a balance, or on a budget, for exactly ten: ten are answered, whoever else failed."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from credits import ledger
from credits.budgets import limits
from credits.budgets.rows import KEY, PROJECT, TEAM
from credits.errors import BudgetLimit, InsufficientCredits
from credits.models import Account, Budget
from proofs.checks import ANSWER_SECONDS, ANSWERS, COST_NANO, must, must_add_up, outcomes, take, team_with
from proofs.processes import Child

REQUESTS = 200
PROCESSES = 4
SCOPES = (TEAM, PROJECT, KEY)


class Tally(NamedTuple):
    """How requests ended. A failed one held credits and was not charged."""

    answered: int
    failed: int
    refused: int


def balance_for_ten(rounds: int) -> str:
    """Requests at once on a balance for exactly ten."""
    for _ in range(rounds):
        account_id = team_with(ANSWERS * COST_NANO)
        _must_be_ten(asyncio.run(tally(account_id, REQUESTS)))
        account = must_add_up(account_id)
        must((account.balance_nano, account.held_nano) == (0, 0), f"{account.balance_nano} were left of the balance")
    return _told(rounds, "a balance")


def budgets_for_ten(rounds: int) -> str:
    """Requests at once under budgets of key, project and team, of which one in turn is for exactly ten."""
    for number in range(rounds):
        account_id = team_with(10 * ANSWERS * COST_NANO)
        tightest = _set_budgets(account_id, SCOPES[number % 3])
        _must_be_ten(asyncio.run(tally(account_id, REQUESTS, tightest.scope)))
        _must_be_used_up(account_id, tightest)
    return _told(rounds, "the tightest of a key's, a project's and a team's budget")


def processes_for_ten(rounds: int) -> str:
    """The same from several processes, on a balance and on budgets in turn."""
    children = [Child() for _ in range(PROCESSES)]
    try:
        for child in children:
            child.ask("ready")
        for number in range(rounds):
            account_id = team_with(ANSWERS * COST_NANO)
            if number % 2:
                ledger.grant(account_id, ANSWERS * COST_NANO, reason="a proof", actor="prove")
                tightest = _set_budgets(account_id, SCOPES[number % 3])
            for child in children:
                child.tell("requests", account_id, REQUESTS // PROCESSES)
            tallies: list[Sequence[int]] = [child.answer() for child in children]  # type: ignore[misc]
            _must_be_ten(Tally(*(sum(counts) for counts in zip(*tallies, strict=True))))
            if number % 2:
                _must_be_used_up(account_id, tightest)
            else:
                must(must_add_up(account_id).balance_nano == 0, "the balance was not used up")
    finally:
        for child in children:
            child.kill()
    return _told(rounds, f"a balance and on budgets, from {PROCESSES} processes")


def monthly_grants(rounds: int) -> str:
    """Processes that touch an account at once give the month's grant once."""
    plan = limits.save_plan(f"proof-{team_with(0)}", monthly_grant_nano=ANSWERS * COST_NANO, monthly_cap_nano=None)
    children = [Child() for _ in range(PROCESSES)]
    try:
        for child in children:
            child.ask("ready")
        for _ in range(rounds):
            account_id = team_with(0)
            must(ledger.touch(account_id) == 0, "a team without a plan was given something")
            Account.objects.filter(pk=account_id).update(plan=plan)
            for child in children:
                child.tell("touch", account_id)
            seen = [child.answer() for child in children]
            must(seen == [ANSWERS * COST_NANO] * PROCESSES, f"the processes saw {seen}")
            account = must_add_up(account_id)
            must(account.entry_count == 1, f"{account.entry_count} grants were given")
    finally:
        for child in children:
            child.kill()
    return f"{rounds} months began in {PROCESSES} processes at once: each gave its grant once."


async def tally(account_id: int, requests: int, scope: str = KEY) -> Tally:
    """Make that many requests at once, of one key, one project or the whole team, and count how they ended."""
    ended = await outcomes(_request(account_id, number, scope) for number in range(requests))
    refusals = [outcome for outcome in ended if isinstance(outcome, InsufficientCredits)]
    for refusal in refusals:
        must(not refusal.is_blocked, f"falsely refused: {refusal}, of which {refusal.capacity_nano} were not spent")
    answers = [outcome for outcome in ended if isinstance(outcome, bool)]
    must(len(answers) + len(refusals) == requests, f"requests ended in {ended}")
    return Tally(sum(answers), len(answers) - sum(answers), len(refusals))


async def _request(account_id: int, number: int, scope: str) -> bool:
    """Hold, wait for others if need be, and settle; every third fails after it held, and costs nothing."""
    project = f"project-{number % 2 if scope == TEAM else 0}"
    key = f"key-{0 if scope == KEY else number % 4}"
    held = await take(account_id, COST_NANO, project=project, key=key, wait_seconds=ANSWER_SECONDS)
    await asyncio.sleep(0)
    if number % 3 == 0:
        await ledger.release(held.id)
        return False
    settlement = await ledger.settle(held.id, COST_NANO, price="1")
    must(settlement.charged_nano == COST_NANO and not settlement.lost_nano, f"a hold did not cover {settlement}")
    return True


def _set_budgets(account_id: int, tight: str) -> Budget:
    """Set a budget at each scope, the tight one for exactly ten answers, and return that."""
    budgets = {
        scope: limits.set_budget(
            account_id,
            scope=scope,
            reference="" if scope == TEAM else f"{scope}-0",
            period="total",
            limit_nano=(ANSWERS if scope == tight else ANSWERS + 2) * COST_NANO,
        )
        for scope in SCOPES
    }
    return budgets[tight]


def _must_be_ten(tally: Tally) -> None:
    must(tally.answered == ANSWERS, f"{tally.answered} requests were answered instead of {ANSWERS}")


def _must_be_used_up(account_id: int, budget: Budget) -> None:
    must_add_up(account_id)
    budget.refresh_from_db()
    must(budget.spent_nano == budget.limit_nano and budget.held_nano == 0, f"the {budget} was not used up exactly")
    (refusal,) = asyncio.run(outcomes([take(account_id, COST_NANO)]))
    named = refusal.refused_by if isinstance(refusal, InsufficientCredits) else None
    must(isinstance(named, BudgetLimit) and named.scope == budget.scope, f"{named} refused, not the {budget}")


def _told(rounds: int, on: str) -> str:
    return (
        f"{rounds} rounds of {REQUESTS} requests at once on {on} for exactly {ANSWERS}, of which every third failed: "
        f"{rounds * ANSWERS} answered, nothing overspent, none refused while credits were left."
    )
