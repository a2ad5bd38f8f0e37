"""Money in the admin panel: to be looked at. It moves on one page only, the console's, and always as a new entry."""

from typing import Any

from django.contrib import admin
from django.db.models import F, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from accounts.panel import ReadOnlyPanel
from credits.models import Account, Entry, Hold
from credits.money import format_dollars


@admin.register(Account)
class AccountPanel(ReadOnlyPanel):
    """Teams' accounts."""

    list_display = ["team", "balance", "held", "available", "entry_count"]
    list_select_related = ["team"]
    search_fields = ["team__slug"]
    ordering = ["team__slug"]
    fields = ["team", "balance", "held", "available", "entry_count", "entry_hash"]

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Account]":
        """Make what is available sortable."""
        accounts: QuerySet[Account] = super().get_queryset(request)
        return accounts.annotate(left=F("balance_nano") - F("held_nano"))

    @admin.display(ordering="balance_nano")
    def balance(self, account: Account) -> str:
        """Return what the entries add up to."""
        return format_dollars(account.balance_nano)

    @admin.display(ordering="held_nano", description="held, overdue holds included")
    def held(self, account: Account) -> str:
        """Return what is set aside."""
        return format_dollars(account.held_nano)

    @admin.display(ordering="left")
    def available(self, account: Account) -> str:
        """Return what may be spent."""
        return format_dollars(account.available_nano)


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
    def posted(self, entry: Entry) -> str:
        """Return the moment to the second, in UTC."""
        return f"{entry.created_at:%Y-%m-%d %H:%M:%S}"

    @admin.display(description="team")
    def account_team(self, entry: Entry) -> str:
        """Return whose entry it is."""
        return entry.account.team.slug

    @admin.display(ordering="amount_nano")
    def amount(self, entry: Entry) -> str:
        """Return what was added to the balance."""
        return format_dollars(entry.amount_nano)

    @admin.display(description="lost")
    def lost(self, entry: Entry) -> str:
        """Return the part of a cost that no credits were left for."""
        return format_dollars(entry.lost_nano)

    @admin.display
    def balance_after(self, entry: Entry) -> str:
        """Return the balance that the entry made."""
        return format_dollars(entry.balance_after_nano)


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
        return format_dollars(hold.amount_nano)

    @admin.display(description="overdue")
    def is_overdue(self, hold: Hold) -> str:
        """Say whether the account's next movement will expire the hold."""
        return "yes" if hold.state == Hold.State.OPEN and hold.expires_at <= timezone.now() else ""
