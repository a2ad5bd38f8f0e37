"""Signing in and out, and changing one's password."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.views import LoginView, PasswordChangeView
from django.http import HttpResponse
from django.urls import reverse_lazy
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters

from console.forms.sign_in import PasswordChangeForm, SignInForm


class SignIn(LoginView):
    """``/login``: only an address on this site is gone to afterwards."""

    template_name = "console/sign_in.html"
    authentication_form = SignInForm
    redirect_authenticated_user = True

    def form_invalid(self, form: Any) -> HttpResponse:
        """Show the form again: 429 with Retry-After at the limit, else 400."""
        response = super().form_invalid(form)
        response.status_code = 429 if form.wait_seconds else 400
        if form.wait_seconds:
            response.headers["Retry-After"] = str(form.wait_seconds)
        return response


@method_decorator([sensitive_post_parameters(), never_cache], name="dispatch")
class ChangePassword(PasswordChangeView):
    """``/console/password``: every other session of this person ends."""

    template_name = "console/password.html"
    form_class = PasswordChangeForm
    success_url = reverse_lazy("console:password")
    title = "Change your password"

    def form_valid(self, form: Any) -> HttpResponse:
        """Say that it worked."""
        messages.success(self.request, "Your password is changed. You are signed out everywhere else.")
        return super().form_valid(form)
