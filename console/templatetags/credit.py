"""The warning that credits run low, on the console's pages and in the playground's shell."""

from typing import Any, Final

from django import template

from accounts.models import Membership, User
from console.access import Seat
from console.alerts.notices import Notice, notices_of, team_notices

register = template.Library()

SHOWN_AT_ONCE: Final = 3
# Those of other projects than the open one are there in case that one switches; a site may have many.
DRAWN_IN_PLAYGROUND: Final = 20


@register.inclusion_tag("console/credit_notices.html", takes_context=True)
def team_credit_notices(context: template.Context) -> dict[str, Any]:
    """Draw the gravest warnings of the console's team."""
    seat: Seat = context["seat"]
    notices = team_notices(seat.team)
    rows = [(notice, seat.manages, False) for notice in notices[:SHOWN_AT_ONCE]]
    return {"rows": rows, "unshown": len(notices) - len(rows), "seat": seat, "perms": context.get("perms")}


@register.inclusion_tag("console/credit_notices.html", takes_context=True)
def playground_credit_notices(context: template.Context) -> dict[str, Any]:
    """Draw every warning that may bind the person; those of other projects are hidden until one switches to them."""
    user, project = context["user"], context.get("project") or ""
    notices = notices_of(user) if isinstance(user, User) else []
    notices.sort(key=lambda notice: not binds(notice, project))
    roles = {each["path"].partition("/")[0]: each["role"] for each in context.get("projects") or []}
    rows = [
        (notice, roles.get(notice.team) in Membership.MANAGING_ROLES, not binds(notice, project))
        for notice in notices[:DRAWN_IN_PLAYGROUND]
    ]
    return {"rows": rows, "perms": context.get("perms")}


def binds(notice: Notice, project: str) -> bool:
    """Whether a warning is about what is spent in a project; the front end's ``notices.ts`` asks the same."""
    return project.startswith(notice.owner) if notice.owner.endswith("/") else project == notice.owner
