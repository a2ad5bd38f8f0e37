"""Signing in, and changing one's password.

Whether an address is known shows neither in the words nor in the time: Django hashes the password either way.
"""

from typing import Any, Final

from django import forms
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.forms import PasswordChangeForm as DjangoPasswordChangeForm
from django.http import HttpRequest

from accounts import devices, second_factor, sign_in
from accounts.models import User
from web.client_address import client_network

MAX_CODE_LENGTH: Final = 20
CODE_ATTRIBUTES: Final = {"autocomplete": "one-time-code", "class": "input", "spellcheck": "false"}


def too_many(wait_seconds: int) -> forms.ValidationError:
    """Return what somebody is told who tried too often."""
    minutes = -(-wait_seconds // 60)
    return forms.ValidationError(
        f"Too many attempts. Try again in {minutes} minute{'s' if minutes > 1 else ''}.", code="too_many"
    )


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
    # Asked for where strangers tried too often; whoever has a second factor comes in all the same.
    code = forms.CharField(
        label="Code of your authenticator app",
        max_length=MAX_CODE_LENGTH,
        required=False,
        widget=forms.TextInput(attrs=CODE_ATTRIBUTES),
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
        self.is_code_right = False
        """Whether the second factor was shown along with the password."""

    def clean(self) -> dict[str, Any]:
        """Check the password, unless too many were tried. Raises ValidationError."""
        account, network = str(self.cleaned_data.get("username", "")).lower(), client_network(self._sender)
        device = devices.device_of(self._sender.COOKIES.get(devices.COOKIE), account)
        code = self.cleaned_data.get("code", "")
        self.wait_seconds = sign_in.take_attempt(account, network, device, has_code=bool(code))
        if self.wait_seconds:
            raise too_many(self.wait_seconds)
        super().clean()
        user = self.get_user()
        # Without a password nothing was checked, and nothing may be forgotten.
        if user is None:
            return self.cleaned_data
        if code:
            if sign_in.take_code_attempt(user.pk, network) or not second_factor.verify(user, code):
                raise self.get_invalid_login_error()
            self.is_code_right = True
        sign_in.has_succeeded(account, network, device)
        return self.cleaned_data

    def confirm_login_allowed(self, user: Any) -> None:
        """Let every user in whom the backend found; it finds active ones only."""
        assert isinstance(user, User)
        assert user.is_active


class CodeForm(forms.Form):
    """A code of the second factor."""

    code = forms.CharField(
        label="Code", max_length=MAX_CODE_LENGTH, widget=forms.TextInput(attrs={**CODE_ATTRIBUTES, "autofocus": True})
    )


class SignInCodeForm(CodeForm):
    """The second step of signing in, for somebody whose password was right."""

    def __init__(self, user: User, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._user, self._sender = user, request
        self.wait_seconds = 0

    def clean_code(self) -> str:
        """Check the code, unless too many were tried."""
        code: str = self.cleaned_data["code"]
        self.wait_seconds = sign_in.take_code_attempt(self._user.pk, client_network(self._sender))
        if self.wait_seconds:
            raise too_many(self.wait_seconds)
        if not second_factor.verify(self._user, code):
            raise forms.ValidationError("This code is not right, or was used before.")
        return code


class PasswordForm(forms.Form):
    """The present password, for what not everybody at an open browser may do."""

    password = forms.CharField(
        label="Your password",
        max_length=1_000,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password", "class": "input"}),
    )

    def __init__(self, user: User, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._user = user

    def clean_password(self) -> str:
        """Check it, but not for ever."""
        password: str = self.cleaned_data["password"]
        if wait_seconds := sign_in.take_password_attempt(self._user.pk):
            raise too_many(wait_seconds)
        if not self._user.check_password(password):
            raise forms.ValidationError("This is not your password.")
        sign_in.password_was_right(self._user.pk)
        return password


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
