"""The ledger as plain sums, slow and plain to see: what the real one is compared with. Amounts are in nano-credits."""

from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

# What an operation must say: its name, then its numbers.
Outcome = tuple[object, ...]


class Attribution(NamedTuple):
    """What a hold is for: the account, the project and the key."""

    account_id: int
    project: str
    key: str


@dataclass
class ReferenceHold:
    """A hold and its state, in the ledger's own words."""

    attribution: Attribution
    amount: int
    state: str = "open"


@dataclass
class ReferenceBudget:
    """A budget: whose, how much, and what was charged to it."""

    account_id: int
    scope: str
    reference: str
    limit: int
    spent: int

    def counts(self, attribution: Attribution) -> bool:
        """Whether charges and holds of that attribution count in it."""
        whose = {"team": "", "project": attribution.project, "key": attribution.key}
        return self.account_id == attribution.account_id and self.reference == whose[self.scope]


class Limit(NamedTuple):
    """Something that must cover a hold: what a new one may take, and what it could without any other."""

    name: str
    available: int
    capacity: int


@dataclass
class Reference:
    """Balances, budgets, holds and charges; each method returns what the ledger must say."""

    balance: dict[int, int]
    holds: dict[UUID, ReferenceHold] = field(default_factory=dict)
    budgets: dict[tuple[int, str, str], ReferenceBudget] = field(default_factory=dict)
    charged: dict[Attribution, int] = field(default_factory=dict)

    def held(self, account_id: int, budget: ReferenceBudget | None = None) -> int:
        """Add up the open holds of an account, or those that count in a budget."""
        return sum(
            hold.amount
            for hold in self.holds.values()
            if hold.state == "open"
            and hold.attribution.account_id == account_id
            and (budget is None or budget.counts(hold.attribution))
        )

    def available(self, account_id: int) -> int:
        """Return what the balance leaves, whatever budgets say."""
        return self.balance[account_id] - self.held(account_id)

    def budgets_of(self, attribution: Attribution) -> list[ReferenceBudget]:
        """Return the budgets that count it, the team's first and the key's last."""
        counting = [budget for budget in self.budgets.values() if budget.counts(attribution)]
        return sorted(counting, key=lambda budget: ("team", "project", "key").index(budget.scope))

    def limits(self, attribution: Attribution) -> list[Limit]:
        """Return all limits that apply to it."""
        account_id = attribution.account_id
        limits = [Limit("balance", self.available(account_id), self.balance[account_id])]
        for budget in self.budgets_of(attribution):
            capacity = budget.limit - budget.spent
            available = capacity - self.held(account_id, budget)
            limits.append(Limit(f"{budget.scope} {budget.reference}", available, capacity))
        return limits

    def room(self, attribution: Attribution) -> int:
        """Return the most that may be set aside for it."""
        return max(0, min(limit.available for limit in self.limits(attribution)))

    def refusal(self, attribution: Attribution, needed: int, own: int = 0) -> Outcome:
        """Say what refuses so much: of all that do, first what would without other holds too, then the least left."""
        refusing = [limit for limit in self.limits(attribution) if limit.available + own < needed]
        for_good = [limit for limit in refusing if limit.capacity < needed]
        tightest = sorted(for_good or refusing, key=lambda limit: limit.available)[0]
        balance = self.balance[attribution.account_id]
        return ("insufficient", self.room(attribution) + own, balance, needed, tightest.name, not for_good)

    def take(self, attribution: Attribution, minimum: int, maximum: int, stand_in: UUID) -> Outcome:
        """Open a hold under a name of the caller's choice."""
        room = self.room(attribution)
        if minimum > room:
            return self.refusal(attribution, minimum)
        self.holds[stand_in] = ReferenceHold(attribution, min(maximum, room))
        return ("held", min(maximum, room))

    def extend(self, hold_id: UUID, minimum: int, maximum: int) -> Outcome:
        """Add to a hold."""
        hold = self.holds[hold_id]
        if hold.state != "open":
            return ("ended", hold.state)
        room = self.room(hold.attribution)
        if minimum > room:
            return self.refusal(hold.attribution, minimum + hold.amount, own=hold.amount)
        hold.amount += min(maximum, room)
        return ("held", hold.amount)

    def settle(self, hold_id: UUID, cost: int) -> Outcome:
        """End a hold."""
        hold = self.holds[hold_id]
        if hold.state in ("settled", "released"):
            return ("ended", hold.state)
        set_aside = hold.amount if hold.state == "open" else 0
        hold.state = "settled" if cost else "released"
        balance, *budgets = self.limits(hold.attribution)
        charged = min([cost, balance.available, *(max(limit.available, set_aside) for limit in budgets)])
        self.balance[hold.attribution.account_id] -= charged
        self.charged[hold.attribution] = self.charged.get(hold.attribution, 0) + charged
        for budget in self.budgets_of(hold.attribution):
            budget.spent += charged
        left = self.balance[hold.attribution.account_id]
        return ("settled", charged, max(set_aside - charged, 0), cost - charged, left)

    def correct(self, account_id: int, amount: int) -> Outcome:
        """Move a balance; budgets do not mind."""
        if self.available(account_id) + amount < 0:
            return self.refusal_of_correction(account_id, -amount)
        self.balance[account_id] += amount
        return ("posted", self.balance[account_id])

    def refusal_of_correction(self, account_id: int, needed: int) -> Outcome:
        """Say that the balance does not cover so much."""
        balance = self.balance[account_id]
        return ("insufficient", self.available(account_id), balance, needed, "balance", balance >= needed)

    def set_budget(self, account_id: int, scope: str, reference: str, limit: int) -> None:
        """Make or change a budget; all that was ever charged counts."""
        budget = ReferenceBudget(account_id, scope, reference, limit, 0)
        budget.spent = sum(charged for attribution, charged in self.charged.items() if budget.counts(attribution))
        self.budgets[account_id, scope, reference] = budget
