"""The console's forms."""

from datetime import timedelta
from typing import Any, Final

from django import forms
from django.contrib.auth.forms import PasswordChangeForm as DjangoPasswordChangeForm
from django.utils import timezone

from accounts.models import Membership, Project, User
from console.access import Seat
from console.throttle import Throttle

WHOLE_TEAM: Final = ""
NEVER: Final = ""
LIFETIMES_DAYS = [("7", "7 days"), ("30", "30 days"), ("90", "90 days"), ("365", "1 year"), (NEVER, "Never")]
MAX_LIVE_KEYS: Final = 100
"""How many working keys a person may have in one team."""
PASSWORD_ATTEMPTS: Final = 10
PASSWORD_SECONDS: Final = 15 * 60

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


class MemberForm(forms.Form):
    """A person to be put into the team."""

    email = forms.EmailField(
        label="E-mail",
        max_length=254,
        widget=forms.EmailInput(attrs={**_input, "placeholder": "name@example.org", "autocomplete": "off"}),
    )
    role = forms.ChoiceField(
        choices=Membership.Role.choices, initial=Membership.Role.MEMBER, widget=forms.Select(attrs=_select)
    )

    def __init__(self, seat: Seat, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        chooser = self.fields["role"]
        assert isinstance(chooser, forms.ChoiceField)
        chooser.choices = offered_roles(seat)

    def clean_email(self) -> str:
        """Find who is meant. An operator makes users; the console only knows those there are."""
        email: str = self.cleaned_data["email"].lower()
        self.user = User.objects.filter(email=email, is_active=True).first()
        if self.user is None:
            raise forms.ValidationError("Nobody here has this e-mail. An operator can make a user for it.")
        return email


class RoleForm(forms.Form):
    """A member's other role; who may give which is ``accounts.memberships``' to say."""

    role = forms.ChoiceField(choices=Membership.Role.choices)


class ProjectForm(forms.ModelForm):  # type: ignore[type-arg] # not generic at run time
    """A new project of the team, which the instance names already."""

    class Meta:
        model = Project
        fields = ["slug"]
        labels = {"slug": "Name"}
        widgets = {"slug": forms.TextInput(attrs={**_input, "autocomplete": "off", "placeholder": "reports"})}
        help_texts = {"slug": "Lower-case letters, digits, dots, dashes and underscores."}

    def clean(self) -> dict[str, Any]:
        """Look for the name within the team too, which the form itself does not show."""
        cleaned = super().clean() or self.cleaned_data
        if self.instance.team.projects.filter(slug=cleaned.get("slug", "")).exists():
            self.add_error("slug", "The team has a project with this name.")
        return cleaned


passwords = Throttle("password", PASSWORD_ATTEMPTS, PASSWORD_SECONDS, remembered=10_000)


class PasswordChangeForm(DjangoPasswordChangeForm):
    """The old password, and the new one twice."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.widget.attrs |= _input

    def clean_old_password(self) -> str:
        """Check the old password, but not for ever: whoever found an open session might be guessing it."""
        if passwords.take(str(self.user.pk)):
            raise forms.ValidationError("Too many attempts. Try again later.")
        old: str = super().clean_old_password()
        passwords.forget(str(self.user.pk))
        return old


def offered_roles(seat: Seat) -> list[tuple[str, str]]:
    """Return the roles that this person may give."""
    return [(role.value, role.label) for role in Membership.Role if seat.owns or role != Membership.Role.OWNER]
