"""Random operations on the ledger and on its reference, many at once: they must never say different things."""

import asyncio
import random
from collections.abc import Awaitable
from typing import Final
from uuid import UUID, uuid4

from django.db import connection

from credits import ledger
from credits.budgets import limits
from credits.errors import BudgetLimit, HoldEnded, InsufficientCredits
from credits.models import NANO, Account, Budget
from proofs.checks import must, must_add_up, outcomes, take, team_with
from proofs.reference import Attribution, Outcome, Reference, ReferenceHold

START_NANO: Final = 10 * NANO
# Holds that later operations may meet; older ones are released.
TARGETS: Final = 40
BATCHES_PER_BUDGET: Final = 5


def never_diverges(operations: int) -> str:
    """Walk that many operations over three accounts with budgets that come, change and go."""
    chance = random.Random(20_260_101)
    account_ids = [team_with(START_NANO) for _ in range(3)]
    walk = Walk(account_ids, chance)
    done = asyncio.run(walk.go(operations))
    for account_id in account_ids:
        ledger.touch(account_id)
        account, balance = must_add_up(account_id), walk.reference.balance[account_id]
        must(account.balance_nano == balance, f"a balance is {account.balance_nano} instead of {balance}")
        available = walk.reference.available(account_id)
        must(account.available_nano == available, f"{account.available_nano} are available instead of {available}")
        _must_match_budgets(account, walk.reference)
    return f"{done} random operations on 3 accounts with budgets: all went as in the reference model."


def _must_match_budgets(account: Account, reference: Reference) -> None:
    for budget in Budget.objects.filter(account=account):
        expected = reference.budgets[account.pk, budget.scope, budget.reference]
        held = reference.held(account.pk, expected)
        is_same = (budget.limit_nano, budget.spent_nano, budget.held_nano) == (expected.limit, expected.spent, held)
        must(is_same, f"the {budget} has {budget.spent_nano} spent and {budget.held_nano} held, not {expected}, {held}")


class Walk:
    """A random walk over both, in batches that the ledger sees at once."""

    def __init__(self, account_ids: list[int], chance: random.Random) -> None:
        self.account_ids = account_ids
        self.reference = Reference(dict.fromkeys(account_ids, START_NANO))
        self.chance = chance
        self.targets: list[UUID] = []
        self._dropped: list[UUID] = []

    async def go(self, operations: int) -> int:
        """Do that many operations, or a few more; return how many."""
        done = batches = 0
        while done < operations:
            size = self.chance.randint(1, 40)
            await self._batch(size)
            await self._expire_one()
            done, batches = done + size + 1, batches + 1
            if batches % BATCHES_PER_BUDGET == 0:
                await asyncio.to_thread(self._change_budget)
                done += 1
        return done

    async def _batch(self, size: int) -> None:
        """Do that many operations at once; they arrive in order."""
        before = list(self.targets)
        asked: list[Awaitable[object]] = []
        expected: list[Outcome] = []
        stand_ins: list[UUID | None] = []
        for hold_id in self._dropped:
            asked.append(ledger.release(hold_id))
            expected.append(self.reference.settle(hold_id, 0))
            stand_ins.append(None)
        for _ in range(size):
            operation, answer, stand_in = self._operation(before)
            asked.append(operation)
            expected.append(answer)
            stand_ins.append(stand_in)
        said = await outcomes(asked)
        for outcome, answer, stand_in in zip(said, expected, stand_ins, strict=True):
            must(_said(outcome) == answer, f"the ledger said {_said(outcome)}, its reference {answer}")
            if isinstance(outcome, ledger.Held) and stand_in:
                self.reference.holds[outcome.id] = self.reference.holds.pop(stand_in)
                self.targets.append(outcome.id)
        self._forget()

    async def _expire_one(self) -> None:
        """Let a hold expire, alone in its group so that no clock decides about another operation."""
        attribution = self._attribution()
        amount = self.chance.randint(0, self.reference.room(attribution))
        held = await take(
            attribution.account_id, amount, project=attribution.project, key=attribution.key, seconds=0.001
        )
        await asyncio.sleep(0.004)
        self.reference.holds[held.id] = ReferenceHold(attribution, amount, "expired")
        self.targets.append(held.id)

    def _operation(self, hold_ids: list[UUID]) -> tuple[Awaitable[object], Outcome, UUID | None]:
        kind = self.chance.choices(("take", "take_up_to", "extend", "settle", "correct"), (30, 10, 15, 40, 5))[0]
        attribution, amount = self._attribution(), self._amount()
        minimum = self.chance.randint(0, amount) if self.chance.random() < 0.5 else amount
        if kind == "correct":
            amount = (amount + 1) * self.chance.choice((1, 1, -1))
            operation = ledger.acorrect(attribution.account_id, amount, reason="walk", actor="walk")
            return operation, self.reference.correct(attribution.account_id, amount), None
        if kind == "take" or not hold_ids:
            stand_in = uuid4()
            answer = self.reference.take(attribution, amount, amount, stand_in)
            return (
                take(attribution.account_id, amount, project=attribution.project, key=attribution.key),
                answer,
                stand_in,
            )
        if kind == "take_up_to":
            stand_in = uuid4()
            return (
                _take_up_to(attribution, minimum, amount),
                self.reference.take(attribution, minimum, amount, stand_in),
                stand_in,
            )
        hold_id = self.chance.choice(hold_ids)
        if kind == "extend":
            extension = ledger.extend(hold_id, amount, seconds=60, minimum_nano=minimum)
            return extension, self.reference.extend(hold_id, minimum, amount), None
        cost = self.chance.choice((0, amount))
        return ledger.settle(hold_id, cost, price="1"), self.reference.settle(hold_id, cost), None

    def _change_budget(self) -> None:
        """Make, change or remove a budget; in a thread, because these functions are not for coroutines."""
        account_id, scope = self.chance.choice(self.account_ids), self.chance.choice(("team", "project", "key"))
        reference = "" if scope == "team" else f"{scope}-{self.chance.randint(0, 1)}"
        try:
            there = Budget.objects.filter(account=account_id, scope=scope, reference=reference).first()
            if there and self.chance.random() < 0.5:
                limits.remove_budget(account_id, there.pk)
                del self.reference.budgets[account_id, scope, reference]
                return
            # The limits are about what was spent, so that they matter, and sometimes below it.
            limit = max(0, (there.spent_nano if there else 0) + self.chance.randint(-NANO, 12 * NANO))
            limits.set_budget(account_id, scope=scope, reference=reference, period="total", limit_nano=limit)
            self.reference.set_budget(account_id, scope, reference, limit)
        finally:
            connection.close()

    def _attribution(self) -> Attribution:
        project, key = self.chance.randint(0, 1), self.chance.randint(0, 1)
        return Attribution(self.chance.choice(self.account_ids), f"project-{project}", f"key-{key}")

    def _amount(self) -> int:
        return self.chance.choice((0, 1, self.chance.randint(1, NANO), self.chance.randint(1, 6 * NANO)))

    def _forget(self) -> None:
        """Keep the newest holds as targets, have older open ones released, and forget the ended ones."""
        self.targets, older = self.targets[-TARGETS:], self.targets[:-TARGETS]
        holds, kept = self.reference.holds, set(self.targets)
        self._dropped = [hold_id for hold_id in older if holds[hold_id].state == "open"]
        kept.update(self._dropped)
        self.reference.holds = {hold_id: hold for hold_id, hold in holds.items() if hold_id in kept}


async def _take_up_to(attribution: Attribution, minimum: int, maximum: int) -> ledger.Held:
    account_id, project, key = attribution
    return await ledger.take_up_to(account_id, minimum, maximum, run=uuid4().hex, project=project, key=key, seconds=60)


def _said(outcome: object) -> Outcome:
    match outcome:
        case ledger.Held():
            return ("held", outcome.amount_nano)
        case ledger.Settlement():
            lost, balance = outcome.lost_nano, outcome.balance_nano
            return ("settled", outcome.charged_nano, outcome.released_nano, lost, balance)
        case ledger.Posting():
            return ("posted", outcome.balance_nano)
        case InsufficientCredits(refused_by=by):
            name = f"{by.scope} {by.reference}" if isinstance(by, BudgetLimit) else by
            amounts = (outcome.available_nano, outcome.balance_nano, outcome.needed_nano)
            return ("insufficient", *amounts, name, outcome.is_blocked)
        case HoldEnded():
            return ("ended", outcome.state)
        case _:
            return ("unexpected", repr(outcome))
