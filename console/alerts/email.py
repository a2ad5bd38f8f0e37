"""The e-mail that tells a team's people of its alerts: what was reached, what is left, and what they can do."""

from collections.abc import Iterator, Sequence
from hashlib import sha256
from urllib.parse import urlencode

from django.conf import settings
from django.core.mail import EmailMessage
from django.urls import reverse

from accounts.models import Team
from credits import alerts
from credits.budgets import owners
from credits.budgets.use import BudgetUse, budget_uses
from credits.errors import PERIODS
from credits.models import Alert, Budget
from credits.money import format_dollars
from credits.reports.balances import balance_of


def alert_email(team: Team, reached: Sequence[Alert], recipient: str, *, is_named: bool = False) -> EmailMessage:
    """Write one person an e-mail about a team's alerts; of one budget's thresholds it names the highest.

    An address that was named, and is no manager's, can be taken off the list by its owner.
    """
    told = _highest(reached)
    headlines = [_headline(alert) for alert in told]
    uses = {use.budget.pk: use for use in budget_uses(team.pk)}
    paragraphs = [
        f"Team {team}:",
        *("\n".join(_paragraph(alert, headline, uses)) for alert, headline in zip(told, headlines, strict=True)),
        f"The whole team may still spend {format_dollars(balance_of(team.pk).available_nano)} of its balance.",
        f"Balance, budgets and usage:\n{_address('billing', team)}",
        f"You get this as one of the people who are told of this team's alerts. To change that:\n"
        f"{stop_address(team, recipient) if is_named else _address('alerts', team)}",
    ]
    return EmailMessage(
        f"[Parley] {team}: {headlines[0] if len(headlines) == 1 else f'{len(headlines)} alerts'}",
        "\n\n".join(paragraphs) + "\n",
        from_email=f"Parley <{settings.DEFAULT_FROM_EMAIL}>",
        to=[recipient],
        # No vacation notices; and an e-mail that was sent twice has the same id, by which mail programs know it.
        headers={"Auto-Submitted": "auto-generated", "Message-ID": _identity(reached, recipient)},
    )


def _highest(alerts: Sequence[Alert]) -> list[Alert]:
    highest: dict[tuple[int | None, object], Alert] = {}
    for alert in sorted(alerts, key=lambda alert: alert.percent or 0):
        highest[alert.budget_id, alert.window_start] = alert
    return sorted(highest.values(), key=lambda alert: alert.pk)


def _headline(alert: Alert) -> str:
    budget = alert.budget
    if budget is None:
        return f"the balance is below {format_dollars(alert.limit_nano)}"
    return f"{alert.percent}% of {_named(budget)} is spent"


def _named(budget: Budget) -> str:
    if budget.origin == Budget.Origin.PLAN:
        return "the plan's monthly cap"
    # A key's name is what somebody typed; it must not break the line it stands in.
    return " ".join(f"the {PERIODS[budget.period]} budget of {owners.name(budget)}".split())


def _paragraph(alert: Alert, headline: str, uses: dict[int, BudgetUse]) -> Iterator[str]:
    yield f"{headline[0].upper()}{headline[1:]}."
    reached, limit = format_dollars(alert.reached_nano), format_dollars(alert.limit_nano)
    if alert.budget is None:
        yield f"It was {reached}. At nothing, requests are refused: an operator of this site grants credits."
        return
    yield f"{reached} of {limit} was spent."
    use = uses.get(alert.budget.pk)
    if use:
        yield f"{format_dollars(use.left_nano)} of it can be spent now; beyond that, requests are refused."
        yield f"It starts anew on {use.resets_at:%Y-%m-%d} at 00:00 UTC." if use.resets_at else "It never starts anew."
    yield _remedy(alert.budget)


def _remedy(budget: Budget) -> str:
    if budget.scope == Budget.Scope.TEAM:
        return "To raise it, ask an operator of this site."
    return "An owner or admin of the team can raise it."


def _address(page: str, team: Team) -> str:
    return f"{settings.PUBLIC_URL}{reverse(f'console:{page}', args=[team.slug])}"


def stop_address(team: Team, email: str) -> str:
    """Return where the owner of an address says whether alerts may be sent to it."""
    token = urlencode({"token": alerts.token_of(team.pk, email)})
    return f"{settings.PUBLIC_URL}{reverse('console:alert-address')}?{token}"


def _identity(reached: Sequence[Alert], recipient: str) -> str:
    each = sorted(reached, key=lambda alert: alert.pk)
    names = ",".join([*(f"{alert.pk}@{alert.created_at.isoformat()}" for alert in each), recipient])
    return f"<alerts.{sha256(names.encode()).hexdigest()[:32]}@{settings.DEFAULT_FROM_EMAIL.rpartition('@')[2]}>"
