"""What the usage page is asked: over which days, of which project, by what."""

from collections.abc import Mapping, Sequence
from datetime import UTC
from typing import Any, Final

from django import forms
from django.db.models import QuerySet
from django.utils import timezone

from console.access import Seat
from console.reports.naming import Names
from inference.errors import InvalidRequest
from inference.models import Run
from inference.runs.usage import MAX_SPAN_DAYS, Dimension, Span, Usage, usage

DEFAULT_DAYS: Final = 30
CUSTOM: Final = "custom"
PERIODS: Final = [("7", "7 days"), (str(DEFAULT_DAYS), "30 days"), ("90", "90 days"), (CUSTOM, "Custom days")]
DIMENSIONS: Final = [
    (Dimension.MODEL.value, "By model"),
    (Dimension.PROJECT.value, "By project"),
    (Dimension.KEY.value, "By API key"),
]


class UsageForm(forms.Form):
    """A span of days, a project and a dimension; what is not said is the last 30 days of all projects, by model."""

    project = forms.ChoiceField(required=False)
    by = forms.ChoiceField(label="Grouped", choices=DIMENSIONS)
    days = forms.ChoiceField(label="Period", choices=PERIODS)
    first = forms.DateField(label="From (UTC)", required=False)
    last = forms.DateField(label="To (UTC)", required=False)

    def __init__(self, seat: Seat, asked: Mapping[str, str]) -> None:
        said = {name: text for name, text in asked.items() if text}
        super().__init__({"by": Dimension.MODEL.value, "days": str(DEFAULT_DAYS)} | said)
        self._seat = seat
        self._projects = {project.slug: project for project in seat.projects()}
        chooser = self.fields["project"]
        assert isinstance(chooser, forms.ChoiceField)
        chooser.choices = [("", "All projects"), *((slug, slug) for slug in self._projects)]
        for name in ("project", "by", "days"):
            self.fields[name].widget.attrs["class"] = "select"
        for name in ("first", "last"):
            self.fields[name].widget = forms.DateInput(format="%Y-%m-%d", attrs={"class": "input", "type": "date"})

    def clean_by(self) -> Dimension:
        """Return the dimension itself."""
        return Dimension(self.cleaned_data["by"])

    def clean(self) -> dict[str, Any]:
        """Custom days have a beginning and an end."""
        cleaned = self.cleaned_data
        days, first, last = cleaned.get("days"), cleaned.get("first"), cleaned.get("last")
        if days and days != CUSTOM:
            cleaned["span"] = Span.latest(int(days))
        elif days and not self.errors:
            if first is None:
                self.add_error("first", "Say with which day it begins.")
            last = last or timezone.now().astimezone(UTC).date()
            try:
                cleaned["span"] = Span(first or last, last)
            except InvalidRequest:
                self.add_error("last", f"The days go forward, and are at most {MAX_SPAN_DAYS}.")
        return cleaned

    def runs(self) -> "QuerySet[Run]":
        """Return the runs that this person may see of what was asked for."""
        project = self._projects.get(self.cleaned_data.get("project", ""))
        return self._seat.runs().filter(project=project) if project else self._seat.runs()

    def usage(self) -> Usage:
        """Sum up by day and by what was asked for; the form is valid. Raises InvalidRequest for too many rows."""
        return usage(self.runs(), self.cleaned_data["span"], (Dimension.DAY, self.cleaned_data["by"]))


def group_names(seat: Seat, groups: Sequence[str | int], by: Dimension) -> dict[str | int, str]:
    """Return what groups of a dimension are called."""
    if by == Dimension.MODEL:
        return {group: str(group) for group in groups}
    names = Names(seat, map(str, groups) if by == Dimension.KEY else ())
    return {group: names.key(str(group)) if by == Dimension.KEY else names.project(group) for group in groups}
