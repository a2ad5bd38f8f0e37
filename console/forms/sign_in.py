"""Signing in, and changing one's password.

Whether an address is known shows neither in the words nor in the time: Django hashes the password either way.
"""

from typing import Any

from django import forms
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.forms import PasswordChangeForm as DjangoPasswordChangeForm
from django.http import HttpRequest

from accounts import sign_in
from accounts.models import User
from web.client_address import client_network


class SignInForm(AuthenticationForm):
    """E-mail and password."""

    username = forms.CharField(
        label="E-mail",
        max_length=254,
        widget=forms.EmailInput(attrs={"autocomplete": "username", "autofocus": True, "class": "input"}),
    )
    password = forms.CharField(
        max_length=1_000,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password", "class": "input"}),
    )
    error_messages = {
        "invalid_login": "This e-mail and password do not go together.",
        "inactive": "This e-mail and password do not go together.",
    }

    def __init__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, *args, **kwargs)
        self._sender = request
        self.wait_seconds = 0
        """How long the person must wait, where the limit was reached; nothing was checked then."""

    def clean(self) -> dict[str, Any]:
        """Check the password, unless too many were tried. Raises ValidationError."""
        account, network = str(self.cleaned_data.get("username", "")).lower(), client_network(self._sender)
        self.wait_seconds = sign_in.take_attempt(account, network)
        if self.wait_seconds:
            minutes = -(-self.wait_seconds // 60)
            raise forms.ValidationError(
                f"Too many attempts. Try again in {minutes} minute{'s' if minutes > 1 else ''}.", code="too_many"
            )
        super().clean()
        # Without a password nothing was checked, and nothing may be forgotten.
        if self.get_user() is not None:
            sign_in.has_succeeded(account, network)
        return self.cleaned_data

    def confirm_login_allowed(self, user: Any) -> None:
        """Let every user in whom the backend found; it finds active ones only."""
        assert isinstance(user, User)
        assert user.is_active


class PasswordChangeForm(DjangoPasswordChangeForm):
    """The old password, and the new one twice."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.widget.attrs |= {"class": "input"}

    def clean_old_password(self) -> str:
        """Check the old password, but not for ever: whoever found an open session might be guessing it."""
        if sign_in.take_password_attempt(self.user.pk):
            raise forms.ValidationError("Too many attempts. Try again later.")
        old: str = super().clean_old_password()
        sign_in.password_was_right(self.user.pk)
        return old
