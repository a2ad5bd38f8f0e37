"""What the playground itself refuses, and how every refusal reads in a browser: OpenAI's shape.

PlaygroundError
├── SignedOut              there is no valid session
├── NotFound               no such thing, or someone else's
├── ConversationBusy       it is being answered already
└── TooMuch                one of the bounds in ``playground.limits`` is reached
"""

from typing import Any

from accounts import errors as accounts
from credits import errors as credits
from inference import errors as inference
from inference.problems import FORBIDDEN, INVALID, SERVER_ERROR, SHARED, Problem, Reading, Readings, read


class PlaygroundError(Exception):
    """Something that cannot be done; the message is for the person who asked."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (self.__doc__ or "").strip())


class SignedOut(PlaygroundError):
    """You are signed out. Sign in again to go on."""


class NotFound(PlaygroundError):
    """The requested resource was not found"""


class ConversationBusy(PlaygroundError):
    """This conversation is being answered. Stop the answer first, or wait for its end."""


class TooMuch(PlaygroundError):
    """There is too much of this already."""


DOMAIN_ERRORS = (PlaygroundError, inference.InferenceError, credits.LedgerError, accounts.IdentityError)


_READINGS: Readings = {
    **SHARED,
    SignedOut: Reading(401, "signed_out", "authentication_error"),
    NotFound: Reading(404, "not_found", INVALID),
    ConversationBusy: Reading(409, "conversation_busy", INVALID),
    TooMuch: Reading(422, "limit_reached", INVALID),
    # A browser has no key that could be wrong: it had access, and lost it.
    accounts.AuthenticationFailed: Reading(403, "access_ended", FORBIDDEN, "You no longer have access here"),
    credits.LedgerError: SERVER_ERROR,
}


def describe(error: Exception, run: str = "") -> dict[str, Any]:
    """Return the error as a browser shows it; ``run`` is the id of the run that it ended.

    A budget that refused is also told in its parts: the page has sentences of its own for it, in its reader's language.
    """
    budget = error.refused_by if isinstance(error, credits.InsufficientCredits) else None
    told = {"budget": _budget_json(budget)} if isinstance(budget, credits.BudgetLimit) else {}
    return {**_problem(error).fields, **told, "request_id": f"req_{run}" if run else None}


def status(error: Exception) -> int:
    """Return the HTTP status that says what the error says."""
    return _problem(error).status


def _budget_json(budget: credits.BudgetLimit) -> dict[str, str | None]:
    resets_at = budget.resets_at.isoformat() if budget.resets_at else None
    return {"scope": budget.scope, "period": budget.period, "resets_at": resets_at}


def _problem(error: Exception) -> Problem:
    problem = read(error, _READINGS)
    assert problem, "one of DOMAIN_ERRORS"
    return problem
