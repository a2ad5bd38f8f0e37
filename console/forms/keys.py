"""The form for a new API key of the person's own."""

from datetime import timedelta
from typing import Any, Final

from django import forms
from django.utils import timezone

from accounts.models import Project
from console.access import Seat

WHOLE_TEAM: Final = ""
NEVER: Final = ""
LIFETIMES_DAYS = [("7", "7 days"), ("30", "30 days"), ("90", "90 days"), ("365", "1 year"), (NEVER, "Never")]
MAX_LIVE_KEYS: Final = 100
"""How many working keys a person may have in one team."""

_input = {"class": "input"}
_select = {"class": "select"}


class KeyForm(forms.Form):
    """A new key of the person's own."""

    name = forms.CharField(
        max_length=120,
        widget=forms.TextInput(attrs={**_input, "placeholder": "nightly report", "autocomplete": "off"}),
        help_text="What will use it, so that you know later which one to revoke.",
    )
    scope = forms.ChoiceField(
        label="Works for", required=False, widget=forms.Select(attrs=_select), help_text="A project, or the whole team."
    )
    lifetime = forms.ChoiceField(
        label="Expires after",
        choices=LIFETIMES_DAYS,
        initial="90",
        required=False,
        widget=forms.Select(attrs=_select),
    )
    ticket = forms.CharField(widget=forms.HiddenInput)

    def __init__(self, seat: Seat, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._seat = seat
        self._projects = {project.slug: project for project in seat.projects()}
        scopes = [(slug, str(project)) for slug, project in self._projects.items()]
        self.choose("scope", [*scopes, (WHOLE_TEAM, f"All of {seat.team}")])

    def choose(self, name: str, choices: list[tuple[str, str]]) -> None:
        """Set what a select offers."""
        chooser = self.fields[name]
        assert isinstance(chooser, forms.ChoiceField)
        chooser.choices = choices

    def clean(self) -> dict[str, Any]:
        """Refuse one key too many."""
        mine = self._seat.team.api_keys.filter(issuer=self._seat.user)
        if mine.live().count() >= MAX_LIVE_KEYS:
            raise forms.ValidationError(f"You have {MAX_LIVE_KEYS} working keys here: revoke one first.")
        return self.cleaned_data

    def wanted(self) -> dict[str, Any]:
        """Return the arguments for ``accounts.keys.create``."""
        days = self.cleaned_data["lifetime"]
        project: Project | None = self._projects.get(self.cleaned_data["scope"])
        return {
            "name": self.cleaned_data["name"],
            "issuer": self._seat.user,
            "team": self._seat.team,
            "project": project,
            "expires_at": timezone.now() + timedelta(days=int(days)) if days else None,
        }

    def refuse(self, error: forms.ValidationError) -> None:
        """Show what ``accounts.keys.create`` refused."""
        messages = error.message_dict if hasattr(error, "error_dict") else {"name": error.messages}
        names = {"project": "scope", "expires_at": "lifetime", "name": "name"}
        for field, texts in messages.items():
            self.add_error(names.get(field), texts)
