"""The admin panel's page that moves money: grant credits, or correct a balance by an opposite entry."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts.models import Team, User
from console.access import person
from console.forms import once
from credits import ledger
from credits.errors import InsufficientCredits, InvalidAmount, UnknownAccount
from credits.ledger import MAX_REASON_LENGTH, Posting
from credits.models import Entry
from credits.money import dollars_to_nano, format_dollars
from credits.reports.balances import balance_of

PURPOSE = "post-credits"
PERMISSION = "credits.add_entry"


class PostForm(forms.Form):
    """Whom, how much and why."""

    team = forms.ModelChoiceField(Team.objects.order_by("slug"))
    kind = forms.ChoiceField(
        choices=[(Entry.Kind.GRANT, "Grant: add credits"), (Entry.Kind.CORRECTION, "Correct: an opposite entry")]
    )
    amount = forms.CharField(
        label="Dollars",
        max_length=24,
        widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off", "placeholder": "12.50"}),
        help_text="Exact, with at most 9 decimals. A correction may be negative, and takes at most what is available.",
    )
    reason = forms.CharField(
        max_length=MAX_REASON_LENGTH,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        help_text="Kept in the ledger for ever, together with your e-mail address.",
    )
    ticket = forms.CharField(widget=forms.HiddenInput)

    def clean_amount(self) -> int:
        """Read the dollars as nano-credits."""
        try:
            return dollars_to_nano(self.cleaned_data["amount"].strip())
        except InvalidAmount as error:
            raise forms.ValidationError(str(error)) from error

    def clean_reason(self) -> str:
        """Take one printable line, as the ledger does."""
        reason: str = self.cleaned_data["reason"]
        if not reason.isprintable():
            raise forms.ValidationError("Write one line of plain text.")
        return reason

    def clean(self) -> dict[str, Any]:
        """A grant adds, a correction changes something."""
        amount_nano, kind = self.cleaned_data.get("amount"), self.cleaned_data.get("kind")
        if amount_nano is not None and kind == Entry.Kind.GRANT and amount_nano <= 0:
            self.add_error("amount", "A grant adds credits. To take some back, make a correction.")
        if amount_nano == 0 and kind == Entry.Kind.CORRECTION:
            self.add_error("amount", "A correction of nothing changes nothing.")
        return self.cleaned_data


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def show_post_credits(request: HttpRequest) -> HttpResponse:
    """Show the form, or act upon it, once."""
    user = person(request)
    if not user.has_perm(PERMISSION):
        raise PermissionDenied("You may not move credits.")
    if request.method != "POST":
        initial = {"team": request.GET.get("team"), "kind": request.GET.get("kind")}
        return _draw(request, PostForm(initial=initial))
    form = PostForm(request.POST)
    if form.is_valid():
        try:
            posting = _post(form, user)
        except once.AlreadySent:
            messages.warning(request, "This form was sent before. Nothing was moved a second time.")
            return redirect(_account(user, form.cleaned_data["team"]))
        except once.TicketInvalid:
            form.add_error(None, "The form was open for too long. Look it over and send it again.")
        except InsufficientCredits as error:
            form.add_error("amount", f"Only {format_dollars(error.available_nano)} are available.")
        except (InvalidAmount, UnknownAccount) as error:
            form.add_error("amount", str(error))
        else:
            messages.success(request, _told(form.cleaned_data["team"], posting))
            return redirect(_account(user, form.cleaned_data["team"]))
    return _draw(request, form, status=400)


post_credits = admin.site.admin_view(show_post_credits)


@transaction.atomic
def _post(form: PostForm, user: User) -> Posting:
    """Append the entry, in the same transaction that uses the form up."""
    wanted = form.cleaned_data
    once.spend(wanted["ticket"], user, PURPOSE)
    post = ledger.grant if wanted["kind"] == Entry.Kind.GRANT else ledger.correct
    return post(wanted["team"].pk, wanted["amount"], reason=wanted["reason"], actor=user.email)


def _told(team: Team, posting: Posting) -> str:
    return (
        f"{format_dollars(posting.amount_nano)} posted to {team} as entry #{posting.sequence}. "
        f"The balance is {format_dollars(posting.balance_nano)} now."
    )


def _account(user: User, team: Team) -> str:
    if user.has_perm("credits.view_account"):
        return reverse("admin:credits_account_change", args=[team.pk])
    return reverse("admin:index")


def _draw(request: HttpRequest, form: PostForm, status: int = 200) -> HttpResponse:
    chosen = str(form["team"].value() or "")
    team = Team.objects.filter(pk=chosen).first() if chosen.isdecimal() and len(chosen) < 19 else None
    context = {
        **admin.site.each_context(request),
        "title": "Grant or correct credits",
        "form": form,
        "ticket": once.issue(person(request), PURPOSE),
        "chosen": team,
        "balance": balance_of(team.pk) if team else None,
    }
    return render(request, "admin/credits/post.html", context, status=status)
