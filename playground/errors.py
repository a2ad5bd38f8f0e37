"""What the playground itself refuses, and how every refusal reads in a browser: OpenAI's shape.

PlaygroundError
├── SignedOut              there is no valid session
├── NotFound               no such thing, or someone else's
├── NotAllowed             the person's role does not reach so far
├── ConversationBusy       it is being answered already
├── ConversationChanged    it is not what the page shows any more
├── Restarting             this process takes no more questions
├── AnswerNotSaved         an answer came, and could not be written down
├── AccessEnded            a browser that had access lost it
└── TooMuch                one of the bounds in ``playground.limits`` is reached
"""

from typing import Any

from accounts.errors import AuthenticationFailed
from core.errors import DomainError
from core.ids import request_id
from credits.errors import BudgetLimit, InsufficientCredits
from web.errors import Problem, describe


class PlaygroundError(DomainError):
    """Something that cannot be done; the message is for the person who asked."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (self.__doc__ or "").strip())


class SignedOut(PlaygroundError):
    """You are signed out. Sign in again to go on."""

    code = "signed_out"


class NotFound(PlaygroundError):
    """The requested resource was not found"""

    code = "not_found"


class NotAllowed(PlaygroundError):
    """Your role in this team may look, but not change this"""

    code = "forbidden"


class ConversationBusy(PlaygroundError):
    """This conversation is being answered. Stop the answer first, or wait for its end."""

    code = "conversation_busy"


class ConversationChanged(PlaygroundError):
    """This conversation was changed in another tab. Look at it as it is now, then do it again."""

    code = "conversation_changed"


class Restarting(PlaygroundError):
    """The server is restarting. Nothing was asked; try again in a moment."""

    code = "restarting"


class AnswerNotSaved(PlaygroundError):
    """The answer is here, but could not be saved yet. It is tried again; copy it before you leave this page."""

    code = "answer_not_saved"


class TooMuch(PlaygroundError):
    """There is too much of this already."""

    code = "limit_reached"


class AccessEnded(PlaygroundError):
    """You no longer have access here"""

    code = "access_ended"


def error_json(error: Exception, run: str = "") -> dict[str, Any]:
    """Return the error as a browser shows it; ``run`` is the id of the run that it ended.

    A budget that refused is also told in its parts: the page has sentences of its own for it, in its reader's language.
    """
    budget = error.refused_by if isinstance(error, InsufficientCredits) else None
    told = {"budget": _budget_json(budget)} if isinstance(budget, BudgetLimit) else {}
    return {**problem_of(error).fields, **told, "request_id": request_id(run) if run else None}


def problem_of(error: Exception) -> Problem:
    """Return how the error reads. A browser has no key that could be wrong: it had access, and lost it."""
    return describe(AccessEnded() if isinstance(error, AuthenticationFailed) else error)


def _budget_json(budget: BudgetLimit) -> dict[str, str | None]:
    resets_at = budget.resets_at.isoformat() if budget.resets_at else None
    return {"scope": budget.scope, "period": budget.period, "resets_at": resets_at}
