"""The ledger as a team's owners and admins read it: filtered, page by page, under the names that they know."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import Any, Final

from django import forms
from django.db.models import QuerySet

from console.access import Seat
from console.reports.naming import BROWSER, Names
from core.ids import request_id, run_named
from credits.models import Entry

ENTRIES_PER_PAGE: Final = 50
ENTRIES_PER_READ: Final = 2_000
MAX_KEYS_OFFERED: Final = 300
MAX_SEQUENCE: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class NamedEntry:
    """An entry, and what its project and key are called."""

    entry: Entry
    project: str
    key: str

    @property
    def request_id(self) -> str:
        """What the run's caller knows it by; empty for an entry without a run."""
        return request_id(self.entry.run) if self.entry.run else ""


@dataclass(frozen=True, slots=True)
class EntryPage:
    """Some entries, the newest first; ``older`` and ``newer`` say from which sequence the next pages go on."""

    entries: list[NamedEntry]
    older: int | None
    newer: int | None


class FilterForm(forms.Form):
    """Which entries are wanted; nothing means all."""

    kind = forms.ChoiceField(choices=[("", "All kinds"), *Entry.Kind.choices], required=False)
    project = forms.ChoiceField(required=False)
    key = forms.ChoiceField(label="API key", required=False)
    first = forms.DateField(label="From (UTC)", required=False)
    last = forms.DateField(label="To (UTC)", required=False)
    run = forms.CharField(label="Request id", max_length=80, required=False)

    def __init__(self, seat: Seat, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._projects = {project.slug: str(project.pk) for project in seat.projects()}
        keys = seat.keys()[:MAX_KEYS_OFFERED]
        self._offer("project", [("", "All projects"), *((slug, slug) for slug in self._projects)])
        named = [(key.pk, f"{key.name} (parley_{key.pk[:4]}…)") for key in keys]
        self._offer("key", [("", "All keys"), (BROWSER, "None: the browser"), *named])
        for field in self.fields.values():
            field.widget.attrs["class"] = "select" if isinstance(field, forms.ChoiceField) else "input"
        for name in ("first", "last"):
            self.fields[name].widget = forms.DateInput(format="%Y-%m-%d", attrs={"class": "input", "type": "date"})
        self.fields["run"].widget.attrs |= {"placeholder": "req_…", "autocomplete": "off", "spellcheck": "false"}

    def clean_run(self) -> str:
        """Take a request's id, an answer's, or the run's own."""
        typed: str = self.cleaned_data["run"].strip()
        run = run_named(typed)
        if typed and run is None:
            raise forms.ValidationError("A request id is req_ and 32 digits and letters from a to f.")
        return run or ""

    def clean(self) -> dict[str, Any]:
        """Days come in order."""
        first, last = self.cleaned_data.get("first"), self.cleaned_data.get("last")
        if first and last and last < first:
            self.add_error("last", "This day is before the first one.")
        return self.cleaned_data

    @property
    def is_narrowed(self) -> bool:
        """Whether anything was asked for."""
        return any(self.data.get(name) for name in self.fields)

    def apply(self, entries: "QuerySet[Entry]") -> "QuerySet[Entry]":
        """Keep what is wanted; the form is valid."""
        wanted = self.cleaned_data
        if wanted["kind"]:
            entries = entries.filter(kind=wanted["kind"])
        if wanted["project"]:
            entries = entries.filter(project=self._projects[wanted["project"]])
        if wanted["key"] == BROWSER:
            entries = entries.filter(key="", kind=Entry.Kind.CHARGE)
        elif wanted["key"]:
            entries = entries.filter(key=wanted["key"])
        if wanted["first"]:
            entries = entries.filter(created_at__gte=datetime.combine(wanted["first"], time.min, UTC))
        if wanted["last"]:
            entries = entries.filter(created_at__lte=datetime.combine(wanted["last"], time.max, UTC))
        if wanted["run"]:
            # Only charges have a run, and they are indexed by it.
            entries = entries.filter(run=wanted["run"], kind=Entry.Kind.CHARGE)
        return entries

    def _offer(self, name: str, choices: list[tuple[str, str]]) -> None:
        chooser = self.fields[name]
        assert isinstance(chooser, forms.ChoiceField)
        chooser.choices = choices


def read_page(seat: Seat, entries: "QuerySet[Entry]", before: int | None, after: int | None) -> EntryPage:
    """Return the newest page, the one that is older than ``before``, or the one that is newer than ``after``."""
    goes_back = before is not None or after is None
    if before is not None:
        entries = entries.filter(sequence__lt=before)
    elif after is not None:
        entries = entries.filter(sequence__gt=after)
    order = "-sequence" if goes_back else "sequence"
    found = list(entries.order_by(order)[: ENTRIES_PER_PAGE + 1])
    shown, has_more = found[:ENTRIES_PER_PAGE], len(found) > ENTRIES_PER_PAGE
    if not goes_back:
        shown.reverse()
    has_older, has_newer = (has_more, before is not None) if goes_back else (True, has_more)
    return EntryPage(
        named(seat, shown),
        older=shown[-1].sequence if shown and has_older else None,
        newer=shown[0].sequence if shown and has_newer else None,
    )


def named(seat: Seat, entries: list[Entry]) -> list[NamedEntry]:
    """Put names to some entries, with the same two queries for however many."""
    names = Names(seat, (entry.key for entry in entries))
    return [
        NamedEntry(
            entry, names.project(entry.project) if entry.project else "", names.key(entry.key) if entry.run else ""
        )
        for entry in entries
    ]


def read_all(seat: Seat, entries: "QuerySet[Entry]", at_once: int = ENTRIES_PER_READ) -> Iterator[NamedEntry]:
    """Read entries from the oldest on, some at a time: no query stays open while a slow reader takes them."""
    last = 0
    while found := list(entries.filter(sequence__gt=last).order_by("sequence")[:at_once]):
        yield from named(seat, found)
        last = found[-1].sequence
