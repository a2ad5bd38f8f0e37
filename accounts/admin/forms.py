"""Forms of the admin panel that keep the rules of identity."""

from datetime import UTC, datetime, time
from typing import Any

from django import forms
from django.contrib.auth.forms import AdminPasswordChangeForm, AdminUserCreationForm
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q

from accounts import keys
from accounts.admin.base import LabelledFormSet
from accounts.models import ApiKey, Membership, Project, User

# Django's own sentence promises Single Sign-On or LDAP.
_DISABLED_HELP = "Disabled: this person has no password and cannot sign in; API keys work all the same."


class UserAddForm(AdminUserCreationForm):  # type: ignore[type-arg] # not generic at run time
    """A new user, by e-mail."""

    usable_password = AdminUserCreationForm.create_usable_password_field(_DISABLED_HELP)

    class Meta:
        model = User
        fields = ("email", "name")

    def clean_email(self) -> str:
        """Keep addresses in lower case, as ``create_user`` does."""
        email: str = self.cleaned_data["email"]
        return email.lower()


class UserPasswordForm(AdminPasswordChangeForm):  # type: ignore[type-arg] # not generic at run time
    """Another password for a user, or none."""

    usable_password_help_text = _DISABLED_HELP


class UserChangeForm(forms.ModelForm):  # type: ignore[type-arg] # not generic at run time
    """A user, without the password, which has a page of its own."""

    class Meta:
        model = User
        fields = ("email", "name", "is_active", "is_staff", "is_superuser", "groups", "user_permissions")

    def clean_email(self) -> str:
        """Keep addresses in lower case."""
        email: str = self.cleaned_data["email"]
        return email.lower()


class MembershipFormSet(LabelledFormSet):
    """A team's people, one of whom owns it."""

    def clean(self) -> None:
        """Refuse a team without an owner."""
        super().clean()
        if any(self.errors):
            return
        kept = [form.cleaned_data for form in self.forms if form.cleaned_data and not form.cleaned_data.get("DELETE")]
        if not any(each["role"] == Membership.Role.OWNER and each["user"].is_active for each in kept):
            raise ValidationError("A team needs an active owner.")


class KeyForm(forms.Form):
    """A new key; ``accounts.keys`` makes it."""

    name = forms.CharField(max_length=120, help_text="What will use it.")
    project = forms.ModelChoiceField(Project.objects.select_related("team").order_by("team__slug", "slug"))
    whole_team = forms.BooleanField(required=False, help_text="Let it call in every project of the project's team.")
    issuer = forms.EmailField(
        help_text="Whom it speaks for: a member of the team who may call. It stops when they leave the team."
    )
    expires_on = forms.DateField(
        required=False, widget=forms.DateInput(attrs={"type": "date"}), help_text="Empty: never. At 00:00 UTC."
    )

    def clean(self) -> dict[str, Any]:
        """Find who is meant among those who may call there; of others it is not told whether they have an account."""
        cleaned = super().clean() or self.cleaned_data
        if "issuer" in cleaned and "project" in cleaned:
            in_reach = Q(teams=cleaned["project"].team) | Q(is_superuser=True)
            user = User.objects.filter(in_reach, email=cleaned["issuer"].lower()).first()
            if user is None:
                self.add_error("issuer", "Nobody in this team has this e-mail.")
            cleaned["issuer"] = user
        return cleaned

    def create(self) -> tuple[ApiKey, str] | None:
        """Make the key, or note why not."""
        wanted: dict[str, Any] = self.cleaned_data
        project, day = wanted["project"], wanted["expires_on"]
        expires_at = datetime.combine(day, time.min, UTC) if day else None
        try:
            with transaction.atomic():
                return keys.create(
                    name=wanted["name"],
                    issuer=wanted["issuer"],
                    team=project.team,
                    project=None if wanted["whole_team"] else project,
                    expires_at=expires_at,
                )
        except ValidationError as error:
            for field, texts in error.message_dict.items():
                self.add_error({"expires_at": "expires_on"}.get(field, field if field in self.fields else None), texts)
            return None
