"""The ledger against a model of it that fits on a page: random operations, many at once, no divergence."""

import asyncio
import random
from collections.abc import Awaitable
from dataclasses import dataclass, field
from uuid import UUID, uuid4

import pytest

from accounts.models import Team
from credits import audit, ledger
from credits.errors import HoldEnded, InsufficientCredits
from credits.models import Account
from tests.credits.proof import proof_count
from tests.credits.scenes import DOLLAR, outcomes, take

pytestmark = [pytest.mark.either_database, pytest.mark.django_db(transaction=True)]

Outcome = tuple[object, ...]


@dataclass
class ReferenceHold:
    account_id: int
    amount: int
    state: str = "open"


@dataclass
class Reference:
    """Balances and holds in plain dictionaries; each method returns what the ledger must say."""

    balance: dict[int, int]
    holds: dict[UUID, ReferenceHold] = field(default_factory=dict)

    def available(self, account_id: int) -> int:
        held = (hold.amount for hold in self.holds.values() if hold.account_id == account_id and hold.state == "open")
        return self.balance[account_id] - sum(held)

    def take(self, account_id: int, amount: int) -> Outcome:
        if amount > self.available(account_id):
            return ("insufficient", self.available(account_id), self.balance[account_id], amount)
        return ("held", amount)

    def extend(self, hold_id: UUID, amount: int) -> Outcome:
        hold = self.holds[hold_id]
        if hold.state != "open":
            return ("ended", hold.state)
        available = self.available(hold.account_id)
        if amount > available:
            return ("insufficient", available + hold.amount, self.balance[hold.account_id], amount + hold.amount)
        hold.amount += amount
        return ("held", hold.amount)

    def settle(self, hold_id: UUID, cost: int) -> Outcome:
        hold = self.holds[hold_id]
        if hold.state in ("settled", "released"):
            return ("ended", hold.state)
        set_aside = hold.amount if hold.state == "open" else 0
        hold.state = "settled" if cost else "released"
        charged = min(cost, self.available(hold.account_id))
        self.balance[hold.account_id] -= charged
        return ("settled", charged, max(set_aside - charged, 0), cost - charged, self.balance[hold.account_id])

    def correct(self, account_id: int, amount: int) -> Outcome:
        if self.available(account_id) + amount < 0:
            return ("insufficient", self.available(account_id), self.balance[account_id], -amount)
        self.balance[account_id] += amount
        return ("posted", self.balance[account_id])


def _said(outcome: object) -> Outcome:
    match outcome:
        case ledger.Held():
            return ("held", outcome.amount_nano)
        case ledger.Settlement():
            lost, balance = outcome.lost_nano, outcome.balance_nano
            return ("settled", outcome.charged_nano, outcome.released_nano, lost, balance)
        case ledger.Posting():
            return ("posted", outcome.balance_nano)
        case InsufficientCredits():
            return ("insufficient", outcome.available_nano, outcome.balance_nano, outcome.needed_nano)
        case HoldEnded():
            return ("ended", outcome.state)
        case _:
            raise AssertionError(outcome)


class Walk:
    """A random walk over both, in batches that the ledger sees at once."""

    def __init__(self, account_ids: list[int], chance: random.Random) -> None:
        self.account_ids = account_ids
        self.reference = Reference(dict.fromkeys(account_ids, 10 * DOLLAR))
        self.chance = chance
        self.recent: list[UUID] = []

    async def batch(self, size: int) -> None:
        """Do that many operations at once; they arrive in order."""
        before = list(self.recent)
        doors: list[Awaitable[object]] = []
        expected: list[Outcome] = []
        takers: list[UUID | None] = []
        for _ in range(size):
            door, answer, taker = self._operation(before)
            doors.append(door)
            expected.append(answer)
            takers.append(taker)
        said = await outcomes(doors)
        assert [_said(outcome) for outcome in said] == expected
        for outcome, stand_in in zip(said, takers, strict=True):
            if isinstance(outcome, ledger.Held) and stand_in:
                self.reference.holds[outcome.id] = self.reference.holds.pop(stand_in)
                self.recent.append(outcome.id)
        self._forget()

    async def expire_one(self) -> None:
        """Let a hold expire, alone in its group so that no clock decides about another operation."""
        account_id = self.chance.choice(self.account_ids)
        amount = self.chance.randint(0, max(self.reference.available(account_id), 0))
        held = await take(account_id, amount, seconds=0.001)
        await asyncio.sleep(0.004)
        self.reference.holds[held.id] = ReferenceHold(account_id, amount, "expired")
        self.recent.append(held.id)

    def _operation(self, hold_ids: list[UUID]) -> tuple[Awaitable[object], Outcome, UUID | None]:
        kind = self.chance.choices(("take", "extend", "settle", "correct"), (40, 15, 40, 5))[0]
        account_id, amount = self.chance.choice(self.account_ids), self._amount()
        outcome: Outcome
        if kind == "correct":
            amount = (amount + 1) * self.chance.choice((1, 1, -1))
            door = ledger.acorrect(account_id, amount, reason="walk", actor="walk")
            return door, self.reference.correct(account_id, amount), None
        if kind == "take" or not hold_ids:
            outcome = self.reference.take(account_id, amount)
            stand_in = uuid4()
            if outcome[0] == "held":
                self.reference.holds[stand_in] = ReferenceHold(account_id, amount)
            return take(account_id, amount), outcome, stand_in
        hold_id = self.chance.choice(hold_ids)
        if kind == "extend":
            return ledger.extend(hold_id, amount, seconds=60), self.reference.extend(hold_id, amount), None
        cost = self.chance.choice((0, amount))
        return ledger.settle(hold_id, cost, price="1"), self.reference.settle(hold_id, cost), None

    def _amount(self) -> int:
        return self.chance.choice((0, 1, self.chance.randint(1, DOLLAR), self.chance.randint(1, 6 * DOLLAR)))

    def _forget(self) -> None:
        """Keep the newest holds as targets, and every open one in the reference."""
        self.recent = self.recent[-40:]
        kept = set(self.recent)
        holds = self.reference.holds.items()
        self.reference.holds = {key: hold for key, hold in holds if hold.state == "open" or key in kept}


def test_random_operations_never_diverge_from_the_reference(team: Team) -> None:
    others = [Team.objects.create(slug=f"team-{number}").pk for number in range(2)]
    for other in others:
        ledger.grant(other, 10 * DOLLAR, reason="pilot", actor="a")
    chance = random.Random(20_260_101)
    walk = Walk([team.pk, *others], chance)

    async def scene(operations: int) -> None:
        while operations > 0:
            size = chance.randint(1, 40)
            await walk.batch(size)
            await walk.expire_one()
            operations -= size + 1
        for account_id in walk.account_ids:
            # Whoever comes next notices what has expired.
            await ledger.release((await take(account_id, 0)).id)

    asyncio.run(scene(proof_count(reduced=4_000, full=100_000)))
    for account_id, balance in walk.reference.balance.items():
        account = Account.objects.get(pk=account_id)
        assert (account.balance_nano, account.available_nano) == (balance, walk.reference.available(account_id))
        assert audit.check(account_id) == []
