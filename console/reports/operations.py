"""What an operator looks at first: today's spending, requests and errors, the endpoints, and who runs dry."""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from django.conf import settings
from django.db.models import F
from django.db.models.functions import Coalesce
from django.http import HttpRequest

from accounts.models import Team
from credits import ledger
from credits.money import NANO
from inference.models import Endpoint, Run
from inference.routing.endpoint_state import EndpointState, states_of
from inference.runs.usage import ERRORS, Amount, Span, usage

LOW_CREDIT_NANO: Final = 1 * NANO
TEAMS_LISTED: Final = 8
ENDPOINTS_LISTED: Final = 24


@dataclass(frozen=True, slots=True)
class Today:
    """Since midnight, UTC. ``errors_query`` narrows the list of runs to its errors."""

    amount: Amount
    errors: int
    errors_query: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """Settlements that wait for the database, in the journals of this machine."""

    settlements: int
    since: datetime


def front_page(request: HttpRequest) -> dict[str, Any]:
    """Return the front page's parts; a part that this operator may not see is None."""
    user = request.user
    return {
        "today": today() if user.has_perm("inference.view_run") else None,
        "endpoints": endpoints() if user.has_perm("inference.view_endpoint") else None,
        "waiting": waiting() if user.has_perm("credits.view_entry") else None,
        "low": teams_low_on_credit() if user.has_perm("credits.view_account") else None,
    }


def today() -> Today:
    """Sum up today's runs."""
    span = Span.latest(1)
    amount = usage(Run.objects.all(), span).total
    midnight = datetime.combine(span.first_day, time.min, UTC)
    # The days as the list's own filter writes them, which shows "Today" as chosen then.
    day = {"started_at__gte": midnight, "started_at__lt": midnight + timedelta(days=1)}
    return Today(amount, amount.errors, urlencode({"ending__in": ",".join(ERRORS), **day}))


def waiting() -> Waiting | None:
    """Return what waits to be charged, if anything does."""
    found = ledger.waiting_in_journals(settings.JOURNAL_DIR)
    return Waiting(found.settlements, datetime.fromtimestamp(found.since, UTC)) if found.settlements else None


def endpoints() -> list[tuple[Endpoint, EndpointState]]:
    """Return the endpoints and how they are: those that are switched on first."""
    listed = list(Endpoint.objects.select_related("model").order_by("-is_enabled", "model_id", "pk")[:ENDPOINTS_LISTED])
    states = states_of(listed)
    return [(endpoint, states[endpoint.pk]) for endpoint in listed]


def teams_low_on_credit() -> list[tuple[Team, int]]:
    """Return teams that may spend less than a dollar, the poorest first, with what they may; in nano-credits."""
    # A team that nothing was ever granted to has no account yet.
    available = Coalesce(F("account__balance_nano") - F("account__held_nano"), 0)
    poor = Team.objects.filter(is_enabled=True).annotate(available_nano=available)
    poorest = poor.filter(available_nano__lt=LOW_CREDIT_NANO).order_by("available_nano", "slug")[:TEAMS_LISTED]
    return [(team, team.available_nano) for team in poorest]
