"""A person's own account: the password, the second factor, and where somebody is signed in."""

from typing import Any, Final

import segno
from django.contrib import messages
from django.contrib.auth.views import PasswordChangeView
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse_lazy
from django.utils.decorators import method_decorator
from django.utils.safestring import mark_safe
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import audit, second_factor, sessions
from accounts.models import SecondFactor, User
from console.access import login_required, person
from console.forms.sign_in import CodeForm, PasswordChangeForm, PasswordForm

SITE_NAME: Final = "Parley"
_PENDING: Final = "second_factor_pending"


@method_decorator([sensitive_post_parameters(), never_cache], name="dispatch")
class ChangePassword(PasswordChangeView):
    """``/console/password``: every other session of this person ends."""

    template_name = "console/account/password.html"
    form_class = PasswordChangeForm
    success_url = reverse_lazy("console:password")
    title = "Change your password"
    extra_context = {"section": "password"}

    def form_valid(self, form: Any) -> HttpResponse:
        """Say that it worked."""
        user, old_key = person(self.request), self.request.session.session_key
        response = super().form_valid(form)
        sessions.rename(old_key, self.request.session.session_key)
        sessions.end_others(user, self.request.session.session_key)
        audit.record(user, user, "Changed the password.")
        messages.success(self.request, "Your password is changed. You are signed out everywhere else.")
        return response


@require_safe
@never_cache
@login_required
def show_sessions(request: HttpRequest) -> HttpResponse:
    """List where the person is signed in."""
    listed = list(sessions.sessions_of(person(request)))
    context = {"section": "sessions", "sessions": listed, "present_key": request.session.session_key}
    return render(request, "console/account/sessions.html", context)


@require_POST
@login_required
def end_session(request: HttpRequest, session_id: int) -> HttpResponse:
    """End one session of the person's own."""
    if not sessions.end(person(request), session_id):
        raise Http404("There is no such session.")
    messages.success(request, "That session is ended.")
    return redirect("console:sessions")


@require_POST
@login_required
def end_other_sessions(request: HttpRequest) -> HttpResponse:
    """End every session of the person's own but this one."""
    user = person(request)
    count = sessions.end_others(user, request.session.session_key)
    audit.record(user, user, f"Ended {count} other session{'' if count == 1 else 's'}.")
    messages.success(request, "You are signed out everywhere else.")
    return redirect("console:sessions")


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
@sensitive_post_parameters()
def show_second_factor(request: HttpRequest) -> HttpResponse:
    """Show whether a code is asked for at sign-in, and turn that on."""
    user = person(request)
    factor = SecondFactor.objects.filter(user=user).first()
    if factor:
        return _draw_on(request, factor, PasswordForm(user))
    secret = request.session.setdefault(_PENDING, second_factor.new_secret())
    form = CodeForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        codes = second_factor.turn_on(user, secret, form.cleaned_data["code"])
        if codes:
            del request.session[_PENDING]
            audit.record(user, user, "Turned the second factor on.")
            return _draw_codes(request, codes)
        form.add_error("code", "This code is not right. Look whether your phone's clock is.")
    return _draw_off(request, user, secret, form)


@require_POST
@never_cache
@login_required
@sensitive_post_parameters()
def change_second_factor(request: HttpRequest) -> HttpResponse:
    """Turn the second factor off, or make new recovery codes; for whoever knows the password."""
    user = person(request)
    factor = SecondFactor.objects.filter(user=user).first()
    if factor is None:
        return redirect("console:second-factor")
    form = PasswordForm(user, request.POST)
    if not form.is_valid():
        return _draw_on(request, factor, form, status=400)
    if request.POST.get("wanted") == "codes":
        audit.record(user, user, "Made new recovery codes.")
        return _draw_codes(request, second_factor.renew_recovery_codes(user))
    second_factor.turn_off(user)
    audit.record(user, user, "Turned the second factor off.")
    messages.success(request, "The second factor is off: your password is enough to sign in.")
    return redirect("console:second-factor")


def _draw_off(request: HttpRequest, user: User, secret: str, form: CodeForm) -> HttpResponse:
    picture = segno.make(second_factor.address(secret, user, SITE_NAME)).svg_inline(scale=4, border=2, light="#fff")
    spaced = " ".join(secret[start : start + 4] for start in range(0, len(secret), 4))
    # Drawn by the library from our own secret.
    context = {"section": "second-factor", "form": form, "picture": mark_safe(picture), "secret": spaced}
    return render(request, "console/account/second_factor_off.html", context, status=400 if form.errors else 200)


def _draw_on(request: HttpRequest, factor: SecondFactor, form: PasswordForm, status: int = 200) -> HttpResponse:
    context = {"section": "second-factor", "factor": factor, "form": form}
    return render(request, "console/account/second_factor_on.html", context, status=status)


def _draw_codes(request: HttpRequest, codes: list[str]) -> HttpResponse:
    return render(request, "console/account/recovery_codes.html", {"section": "second-factor", "codes": codes})
