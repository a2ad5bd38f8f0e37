"""What the page of runs is asked: of which project, all or those that failed."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final
from urllib.parse import urlencode

from django import forms
from django.db.models import QuerySet

from console.access import Seat
from inference.models import Run
from inference.runs.usage import ERRORS

RUNS_PER_PAGE: Final = 25


class RunsForm(forms.Form):
    """A project, and whether only errors are shown; what is not said is all runs of all projects."""

    project = forms.ChoiceField(required=False)
    show = forms.ChoiceField(required=False, choices=[("", "All runs"), ("errors", "Errors only")])

    def __init__(self, seat: Seat, asked: Mapping[str, str]) -> None:
        super().__init__({name: text for name, text in asked.items() if text})
        self._seat = seat
        self._projects = {project.slug: project for project in seat.projects()}
        chooser = self.fields["project"]
        assert isinstance(chooser, forms.ChoiceField)
        chooser.choices = [("", "All projects"), *((slug, slug) for slug in self._projects)]
        for field in self.fields.values():
            field.widget.attrs["class"] = "select"

    def runs(self) -> "QuerySet[Run]":
        """Return the runs that this person may see of what was asked for; none of a question that makes no sense."""
        if self.errors:
            return Run.objects.none()
        project = self._projects.get(self.cleaned_data["project"])
        runs = self._seat.runs().filter(project=project) if project else self._seat.runs()
        return runs.filter(ending__in=ERRORS) if self.cleaned_data["show"] else runs

    def asked(self) -> str:
        """Return the question as it stands in the address, for links to other pages of the same."""
        return urlencode({name: value for name, value in self.cleaned_data.items() if value})


def latest(runs: "QuerySet[Run]", before: datetime | None) -> tuple[list[Run], datetime | None]:
    """Return the latest runs that started before a moment, and from where the next page goes on, if there is one."""
    if before is not None:
        runs = runs.filter(started_at__lt=before)
    found = list(runs.select_related("project__team", "user").order_by("-started_at")[: RUNS_PER_PAGE + 1])
    page = found[:RUNS_PER_PAGE]
    return page, page[-1].started_at if len(found) > RUNS_PER_PAGE else None
