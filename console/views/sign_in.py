"""Signing in, with a second factor where there is one."""

from typing import Any, Final

from django.contrib.auth import login
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase, HttpResponseRedirect
from django.shortcuts import redirect
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.debug import sensitive_post_parameters
from django.views.generic import FormView

from accounts import devices, second_factor
from accounts.models import User
from console.forms.sign_in import SignInCodeForm, SignInForm
from core import clock
from web.cookies import set_own_cookie

# A right password waits so long for its code.
CODE_SECONDS: Final = 600
_PENDING: Final = "sign_in_pending"


class SignIn(LoginView):
    """``/login``: only an address on this site is gone to afterwards."""

    template_name = "console/sign_in.html"
    authentication_form = SignInForm
    redirect_authenticated_user = True

    def form_valid(self, form: Any) -> HttpResponse:
        """Sign in, or ask for the second factor."""
        user: User = form.get_user()
        backend: str = user.backend
        if form.is_code_right or not second_factor.is_on(user):
            return _welcome(self.request, user, backend, self.get_success_url())
        self.request.session[_PENDING] = {
            "user": user.pk,
            "backend": backend,
            "password": user.get_session_auth_hash(),
            "until": clock.timestamp() + CODE_SECONDS,
            "next": self.get_success_url(),
        }
        return redirect("console:sign-in-code")

    def form_invalid(self, form: Any) -> HttpResponse:
        """Show the form again: 429 with Retry-After at the limit, else 400."""
        return _refused(super().form_invalid(form), form.wait_seconds)


@method_decorator([sensitive_post_parameters(), csrf_protect, never_cache], name="dispatch")
class SignInCode(FormView):  # type: ignore[type-arg] # not generic at run time
    """``/login/code``: the second step."""

    template_name = "console/sign_in_code.html"
    form_class = SignInCodeForm

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Let in whoever gave a right password a moment ago."""
        pending = request.session.get(_PENDING) or {}
        user = User.objects.filter(pk=pending.get("user", 0), is_active=True).first()
        is_due = pending.get("until", 0) > clock.timestamp()
        if user is None or not is_due or user.get_session_auth_hash() != pending["password"]:
            return redirect("console:sign-in")
        self._user, self._pending = user, pending
        return super().dispatch(request, *args, **kwargs)

    def get_form_kwargs(self) -> dict[str, Any]:
        """Say who it is."""
        return {**super().get_form_kwargs(), "user": self._user, "request": self.request}

    def form_valid(self, form: SignInCodeForm) -> HttpResponse:
        """Sign in."""
        del self.request.session[_PENDING]
        return _welcome(self.request, self._user, self._pending["backend"], self._pending["next"])

    def form_invalid(self, form: SignInCodeForm) -> HttpResponse:
        """Show the form again, as the first step does."""
        return _refused(super().form_invalid(form), form.wait_seconds)


def _welcome(request: HttpRequest, user: User, backend: str, target: str) -> HttpResponse:
    """Sign in, remember that this browser is known, and go on."""
    login(request, user, backend)
    response = HttpResponseRedirect(target)
    cookie = devices.remembering(request.COOKIES.get(devices.COOKIE), user.email)
    set_own_cookie(response, devices.COOKIE, cookie, devices.COOKIE_SECONDS, path="/login")
    return response


def _refused(response: HttpResponse, wait_seconds: int) -> HttpResponse:
    response.status_code = 429 if wait_seconds else 400
    if wait_seconds:
        response.headers["Retry-After"] = str(wait_seconds)
    return response
