"""Forms for a team's people and projects."""

from typing import Any

from django import forms
from django.contrib.auth.forms import SetPasswordForm

from accounts.models import Membership, Project
from console.access import Seat

_input = {"class": "input"}
_select = {"class": "select"}


class InvitationForm(forms.Form):
    """Whom to invite into the team; nothing tells whether the address is known here."""

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
        """Keep addresses in lower case."""
        email: str = self.cleaned_data["email"]
        return email.lower()


class NewAccountForm(SetPasswordForm):  # type: ignore[type-arg] # not generic at run time
    """The account of somebody who was invited and has none: a name, and a password twice."""

    name = forms.CharField(
        max_length=120, required=False, widget=forms.TextInput(attrs={**_input, "autocomplete": "name"})
    )
    field_order = ["name", "new_password1", "new_password2"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.widget.attrs |= _input


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


def offered_roles(seat: Seat) -> list[tuple[str, str]]:
    """Return the roles that this person may give."""
    return [(role.value, role.label) for role in Membership.Role if seat.owns or role != Membership.Role.OWNER]
