"""What every domain error tells about itself: a code, a sentence for whoever called, and never a status.

``web.errors`` turns a code into a status; ``docs/errors.md`` explains each.
"""

from typing import ClassVar

import msgspec


class DomainError(Exception):
    """Something that was refused or failed. A class without a ``code`` is internal: callers hear of no details."""

    code: ClassVar[str] = ""

    # How the error continues to read; a subclass overrides what it knows.
    param: str | None = None
    retry_after_seconds: int | None = None
    # How many requests may be in flight, where that is why.
    limit: int | None = None
    # How long prompt and answer would be, and how long they may be, where that is why; in tokens.
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    context_tokens: int | None = None

    @property
    def message(self) -> str:
        """The sentence shown to the caller; it holds no internals."""
        return str(self.args[0]) if self.args else ""


class Failure(msgspec.Struct, frozen=True, omit_defaults=True):
    """An error as callers are told of it, to be kept and told again."""

    code: str
    message: str
    param: str | None = None
    retry_after_seconds: int | None = None
    limit: int | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    context_tokens: int | None = None


SERVER_ERROR = Failure("server_error", "The server had an error while processing your request")


class Repeated(DomainError):
    """A failure that was told before, to be told again in the same words."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def failure_of(error: BaseException) -> Failure | None:
    """Return how an error reads; None for one that callers hear no details of."""
    if isinstance(error, Repeated):
        return error.failure
    if isinstance(error, DomainError) and error.code:
        return Failure(
            error.code,
            error.message,
            error.param,
            error.retry_after_seconds,
            error.limit,
            error.prompt_tokens,
            error.completion_tokens,
            error.context_tokens,
        )
    return None


def code_of(error: BaseException | None) -> str:
    """Return the code by which an error is known; empty for no error."""
    return (failure_of(error) or SERVER_ERROR).code if error else ""
