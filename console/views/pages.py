"""What all of the console's pages have in common."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from console.access import MAX_TEAMS_LISTED, Seat, teams_of


def page(request: HttpRequest, seat: Seat, template: str, context: dict[str, Any], status: int = 200) -> HttpResponse:
    """Draw a page within a team."""
    teams = [team.slug for team in teams_of(seat.user)[:MAX_TEAMS_LISTED]]
    return render(request, template, {"seat": seat, "team": seat.team, "teams": teams, **context}, status=status)
