"""The rules of signing in: how often it may be tried, and that nothing is learned from failing.

Whether an address is known shows neither in the words nor in the time (Django hashes the password either way), and the
limits count what was typed, known or not.
"""

from typing import Any

from django import forms
from django.contrib.auth.forms import AuthenticationForm
from django.http import HttpRequest

from accounts.models import User
from console.throttle import Throttle
from web.client_address import client_network

WINDOW_SECONDS = 15 * 60
ACCOUNT_ATTEMPTS = 10
# A whole office may share one address.
ADDRESS_ATTEMPTS = 60
REMEMBERED_KEYS = 20_000

accounts = Throttle("account", ACCOUNT_ATTEMPTS, WINDOW_SECONDS, REMEMBERED_KEYS)
addresses = Throttle("address", ADDRESS_ATTEMPTS, WINDOW_SECONDS, REMEMBERED_KEYS)


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
        account, address = str(self.cleaned_data.get("username", "")).lower(), client_network(self._sender)
        self.wait_seconds = addresses.take(address) or accounts.take(account)
        if self.wait_seconds:
            minutes = -(-self.wait_seconds // 60)
            raise forms.ValidationError(
                f"Too many attempts. Try again in {minutes} minute{'s' if minutes > 1 else ''}.", code="too_many"
            )
        super().clean()
        # Without a password nothing was checked, and nothing may be forgotten.
        if self.get_user() is not None:
            accounts.forget(account)
            addresses.give_back(address)
        return self.cleaned_data

    def confirm_login_allowed(self, user: Any) -> None:
        """Let every user in whom the backend found; it finds active ones only."""
        assert isinstance(user, User)
        assert user.is_active
