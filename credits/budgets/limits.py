"""Sets plans, budgets and the marks of alerts, each under the account's lock, as every group of the ledger works."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final

from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.db.models import QuerySet, Sum

from credits.budgets.rows import MONTH, TEAM, crossed, window_end, window_start
from credits.errors import InvalidBudget, UnknownBudget, UnknownPlan
from credits.ledger.commit import commit_within
from credits.ledger.postings import Touch
from credits.ledger.statements import POSTGRESQL
from credits.models import Account, Alert, Budget, Entry, Hold, Plan
from credits.money import checked_amount

DEFAULT_ALERT_PERCENTS: Final = (50, 80, 90, 100)


def set_budget(
    account_id: int,
    *,
    scope: str,
    reference: str = "",
    period: str,
    limit_nano: int,
    alert_percents: Sequence[int] | None = None,
) -> Budget:
    """Make the team's budget for that scope, reference and period, or change it.

    What was already charged in its window counts, and so do the open holds: a limit below these refuses new holds, and
    nothing else. ``scope`` is ``team`` (without a reference), ``project`` or ``key``; ``period`` is ``total`` (all that
    was ever charged), ``day`` or ``month``, in UTC. Without thresholds for alerts it keeps those it has, or gets the
    usual ones. Raises InvalidAmount, InvalidBudget or UnknownAccount.
    """
    checked_amount(limit_nano, minimum_nano=0)
    percents = _written(DEFAULT_ALERT_PERCENTS if alert_percents is None else alert_percents)
    budget = Budget(account_id=account_id, scope=scope, reference=reference, period=period, alert_percents=percents)
    _checked(budget, exclude=["account", "window_start", "limit_nano"])
    with locked(account_id) as moment:
        return _put(budget, limit_nano, moment, keeps_percents=alert_percents is None)


def set_alert_percents(account_id: int, budget_id: int, alert_percents: Sequence[int]) -> Budget:
    """Say at which percentages of a budget an alert is recorded, of the cap of a plan too; none for never.

    Raises InvalidBudget, UnknownBudget or UnknownAccount.
    """
    with locked(account_id) as moment:
        budget = Budget.objects.select_for_update().filter(account=account_id, pk=budget_id).first()
        if budget is None:
            raise UnknownBudget(f"team {account_id} has no budget {budget_id}")
        budget.alert_percents = _written(alert_percents)
        return _put(budget, budget.limit_nano, moment, keeps_percents=False)


def remove_budget(account_id: int, budget_id: int) -> None:
    """Remove one of the team's budgets; the cap of its plan goes with the plan. Raises UnknownBudget."""
    with locked(account_id):
        mine = Budget.objects.filter(account=account_id, pk=budget_id, origin=Budget.Origin.SET)
        if not mine.delete()[0]:
            raise UnknownBudget(f"team {account_id} has no budget {budget_id}")


def set_plan(account_id: int, plan_id: int | None) -> Account:
    """Give the team a plan, or none: its cap holds at once, and its grant is posted if this month had none yet.

    Raises UnknownPlan or UnknownAccount.
    """
    with transaction.atomic():
        plan = _locked_plan(plan_id) if plan_id is not None else None
        with locked(account_id) as moment:
            account = Account.objects.get(pk=account_id)
            account.plan = plan
            account.save(update_fields=["plan"])
            _cap(account, moment)
            _touch(account_id)
            account.refresh_from_db()
            return account


def save_plan(name: str, *, monthly_grant_nano: int, monthly_cap_nano: int | None, plan_id: int | None = None) -> Plan:
    """Make a plan, or change one: its cap holds at once for every team that has it, its grant from the next month on.

    Raises InvalidAmount, InvalidBudget (a name that is empty, taken or unprintable) or UnknownPlan.
    """
    checked_amount(monthly_grant_nano, minimum_nano=0)
    if monthly_cap_nano is not None:
        checked_amount(monthly_cap_nano, minimum_nano=0)
    with transaction.atomic():
        plan = Plan() if plan_id is None else _locked_plan(plan_id)
        plan.name, plan.monthly_grant_nano, plan.monthly_cap_nano = name, monthly_grant_nano, monthly_cap_nano
        _checked(plan)
        plan.save()
        for account in plan.accounts.select_for_update().order_by("pk"):
            account.plan = plan
            _cap(account, now())
    return plan


def set_low_balance(account_id: int, low_balance_nano: int) -> None:
    """Have an alert recorded when the team's balance falls below the amount; 0 for none. Raises InvalidAmount."""
    checked_amount(low_balance_nano, minimum_nano=0)
    with locked(account_id):
        Account.objects.filter(pk=account_id).update(low_balance_nano=low_balance_nano)


def window_charges(budget: Budget) -> QuerySet[Entry]:
    """Return the charges that count in the budget's window."""
    charges = Entry.objects.filter(
        account=budget.account_id, kind=Entry.Kind.CHARGE, created_at__gte=budget.window_start, **_scope(budget)
    )
    end = window_end(budget.period, budget.window_start)
    return charges.filter(created_at__lt=end) if end else charges


def open_holds(budget: Budget) -> QuerySet[Hold]:
    """Return the open holds that count in the budget."""
    return Hold.objects.filter(account=budget.account_id, state=Hold.State.OPEN, **_scope(budget))


def total_nano(rows: QuerySet[Entry] | QuerySet[Hold]) -> int:
    """Return what the rows add up to."""
    return int(rows.aggregate(total=Sum("amount_nano"))["total"] or 0)


def _scope(budget: Budget) -> dict[str, str]:
    return {} if budget.scope == TEAM else {budget.scope: budget.reference}


@contextmanager
def locked(account_id: int) -> Iterator[datetime]:
    """Lock an account that is up to date; give the database's clock. Raises UnknownAccount."""
    with transaction.atomic():
        _touch(account_id)
        yield now()


def _locked_plan(plan_id: int) -> Plan:
    """Lock a plan, before the accounts that have it; groups that only refer to it go on."""
    plan = Plan.objects.select_for_update(no_key=True).filter(pk=plan_id).first()
    if not plan:
        raise UnknownPlan(f"there is no plan {plan_id}")
    return plan


def _touch(account_id: int) -> None:
    outcome = commit_within(Touch(account_id))
    if isinstance(outcome, Exception):
        raise outcome


def now() -> datetime:
    """Return the moment by the database's clock."""
    if connection.vendor == "sqlite":
        # Of the same machine.
        return datetime.now(UTC)
    with connection.cursor() as cursor:
        cursor.execute(POSTGRESQL.clock)
        clock: datetime = cursor.fetchone()[0]
    return clock


def _cap(account: Account, moment: datetime) -> None:
    """Make the month budget of the account's plan what the plan says."""
    if account.plan and account.plan.monthly_cap_nano is not None:
        cap = Budget(account_id=account.pk, scope=TEAM, period=MONTH, origin=Budget.Origin.PLAN)
        _put(cap, account.plan.monthly_cap_nano, moment, keeps_percents=True)
    else:
        Budget.objects.filter(account=account.pk, origin=Budget.Origin.PLAN).delete()


def _put(budget: Budget, limit_nano: int, moment: datetime, *, keeps_percents: bool) -> Budget:
    """Insert the budget, or change the one that is there, with all that already counts in its window."""
    identity = {name: getattr(budget, name) for name in ("account_id", "scope", "reference", "period", "origin")}
    if there := Budget.objects.select_for_update().filter(**identity).first():
        if not keeps_percents:
            there.alert_percents = budget.alert_percents
        budget = there
    start = window_start(budget.period, moment)
    budget.window_start = max(start, there.window_start) if there else start
    budget.limit_nano = limit_nano
    _checked(budget)
    budget.spent_nano = -total_nano(window_charges(budget))
    budget.held_nano = total_nano(open_holds(budget))
    budget.save()
    _record_crossed(budget, moment)
    return budget


def _record_crossed(budget: Budget, moment: datetime) -> None:
    """Record what a limit that was set below its use has crossed by that."""
    Alert.objects.bulk_create(
        [
            Alert(
                account_id=budget.account_id,
                budget=budget,
                percent=percent,
                window_start=budget.window_start,
                limit_nano=budget.limit_nano,
                reached_nano=budget.spent_nano,
                created_at=moment,
            )
            for percent in crossed(budget.alert_percents, budget.limit_nano, 0, budget.spent_nano)
        ],
        ignore_conflicts=True,
    )


def _written(percents: Sequence[int]) -> str:
    return ",".join(str(percent) for percent in sorted(set(percents)))


def _checked(row: Budget | Plan, exclude: Sequence[str] = ()) -> None:
    try:
        row.full_clean(exclude=exclude)
    except ValidationError as error:
        raise InvalidBudget("; ".join(error.messages)) from error
