"""Money in the admin panel: to be looked at. It moves on one page only, the console's, and always as a new entry."""

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db.models import F, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from accounts.admin.base import ReadOnlyPanel
from accounts.admin.filters import HappenedFilter
from credits import alerts
from credits.admin.budgets import BudgetPanel
from credits.admin.plans import PlanPanel
from credits.models import Account, Alert, Entry, Hold
from credits.money import marked_dollars

__all__ = ["AccountPanel", "AlertPanel", "BudgetPanel", "EntryPanel", "HoldPanel", "PlanPanel"]


@admin.register(Account)
class AccountPanel(ReadOnlyPanel):
    """Teams' accounts."""

    list_display = ["team", "balance", "held", "available", "plan", "entry_count"]
    list_filter = ["plan"]
    list_select_related = ["team", "plan"]
    search_fields = ["team__slug"]
    ordering = ["team__slug"]
    fields = [
        *("team", "balance", "held", "available", "plan", "granted_month", "low_balance", "told"),
        *("entry_count", "entry_hash"),
    ]

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Account]":
        """Make what is available sortable."""
        accounts: QuerySet[Account] = super().get_queryset(request)
        return accounts.annotate(left=F("balance_nano") - F("held_nano"))

    @admin.display(ordering="balance_nano")
    def balance(self, account: Account) -> str:
        """Return what the entries add up to."""
        return marked_dollars(account.balance_nano)

    @admin.display(ordering="held_nano", description="held, overdue holds included")
    def held(self, account: Account) -> str:
        """Return what is set aside."""
        return marked_dollars(account.held_nano)

    @admin.display(ordering="left")
    def available(self, account: Account) -> str:
        """Return what may be spent."""
        return marked_dollars(account.available_nano)

    @admin.display(description="alert below")
    def low_balance(self, account: Account) -> str:
        """Return the mark of the balance's alert."""
        return marked_dollars(account.low_balance_nano) if account.low_balance_nano else "none"

    @admin.display(description="told of alerts")
    def told(self, account: Account) -> str:
        """Return who hears of alerts."""
        return ", ".join(alerts.recipients(account.pk).emails) or "nobody"


@admin.register(Entry)
class EntryPanel(ReadOnlyPanel):
    """The ledger, the newest entry first."""

    list_display = [
        "posted",
        "account_team",
        "sequence",
        "kind",
        "amount",
        "balance_after",
        "run",
        "reason",
        "actor",
    ]
    list_display_links = ["posted"]
    list_select_related = ["account__team"]
    list_filter = ["kind", "created_at"]
    search_fields = ["=run", "=key", "=actor", "=account__team__slug", "reason"]
    ordering = ["-pk"]
    fields = [
        *("account_team", "sequence", "kind", "amount", "lost", "balance_after", "created_at"),
        *("run", "price", "project", "key", "actor", "reason", "previous_hash", "hash"),
    ]

    @admin.display(ordering="pk")
    def posted(self, entry: Entry) -> datetime:
        """Return the moment."""
        return entry.created_at

    @admin.display(description="team")
    def account_team(self, entry: Entry) -> str:
        """Return whose entry it is."""
        return entry.account.team.slug

    @admin.display(ordering="amount_nano")
    def amount(self, entry: Entry) -> str:
        """Return what was added to the balance."""
        return marked_dollars(entry.amount_nano)

    @admin.display(description="lost")
    def lost(self, entry: Entry) -> str:
        """Return the part of a cost that no credits were left for."""
        return marked_dollars(entry.lost_nano)

    @admin.display
    def balance_after(self, entry: Entry) -> str:
        """Return the balance that the entry made."""
        return marked_dollars(entry.balance_after_nano)


class HoldStateFilter(admin.SimpleListFilter):
    """Open holds unless others are asked for: those of a million finished runs say nothing."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Offer every state, and all."""
        return [*((state.value, state.label) for state in Hold.State if state != Hold.State.OPEN), ("all", "All")]

    def choices(self, changelist: Any) -> Any:
        """Call the default by its name."""
        for index, choice in enumerate(super().choices(changelist)):
            yield {**choice, "display": "Open"} if index == 0 else choice

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Hold]") -> "QuerySet[Hold]":
        """Keep the holds of one state."""
        wanted = self.value() or Hold.State.OPEN
        return queryset if wanted == "all" else queryset.filter(state=wanted)


@admin.register(Hold)
class HoldPanel(ReadOnlyPanel):
    """What is set aside for runs under way."""

    list_display = ["created_at", "account_team", "amount", "state", "is_overdue", "run", "expires_at", "ended_at"]
    list_select_related = ["account__team"]
    list_filter = [HoldStateFilter]
    search_fields = ["=run", "=key", "=account__team__slug"]
    ordering = ["-created_at"]
    fields = [
        *("account_team", "amount", "state", "is_overdue", "run", "project", "key"),
        *("created_at", "expires_at", "ended_at"),
    ]

    @admin.display(description="team")
    def account_team(self, hold: Hold) -> str:
        """Return whose hold it is."""
        return hold.account.team.slug

    @admin.display(ordering="amount_nano")
    def amount(self, hold: Hold) -> str:
        """Return what is set aside."""
        return marked_dollars(hold.amount_nano)

    @admin.display(description="overdue")
    def is_overdue(self, hold: Hold) -> str:
        """Say whether the account's next movement will expire the hold."""
        return "yes" if hold.state == Hold.State.OPEN and hold.expires_at <= timezone.now() else ""


@admin.register(Alert)
class AlertPanel(ReadOnlyPanel):
    """What teams were warned of, when, and who was told."""

    list_display = ["created_at", "team", "about", "limit", "reached", "sent_at", "sent_to", "attempts", "error"]
    list_filter = [("sent_at", HappenedFilter), "created_at"]
    list_select_related = ["account__team", "budget"]
    search_fields = ["=account__team__slug", "sent_to"]
    ordering = ["-created_at", "-pk"]
    fields = ["team", "about", "limit", "reached", "created_at", "sent_at", "sent_to", "attempts", "due_at", "error"]

    @admin.display(ordering="account__team__slug")
    def team(self, alert: Alert) -> str:
        """Return whose alert it is."""
        return alert.account.team.slug

    @admin.display
    def about(self, alert: Alert) -> str:
        """Return what was reached."""
        if alert.budget is None:
            return "low balance"
        return f"{alert.percent}% of the {alert.budget}"

    @admin.display(ordering="limit_nano")
    def limit(self, alert: Alert) -> str:
        """Return the budget's limit, or the balance's mark, at that time."""
        return marked_dollars(alert.limit_nano)

    @admin.display(ordering="reached_nano")
    def reached(self, alert: Alert) -> str:
        """Return what was spent, or the balance, at that time."""
        return marked_dollars(alert.reached_nano)
