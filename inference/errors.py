"""What can go wrong on the way to a model and back: domain nouns, without a status code.

    InferenceError
    ├── InvalidRequest          the body cannot be understood; names the parameter
    │   ├── MalformedBody           it is not even JSON
    │   └── UnsupportedParameter    understood, but this model or engine cannot do it
    ├── ModelNotFound           unknown, retired, or without a price
    ├── ReceiptNotFound         no such run in reach, or one that never held credits
    ├── InferenceDisabled       the team's switch is off
    ├── ConcurrencyLimited      too many requests in flight for the project or the user
    ├── ReaderLagged            the caller fell too far behind in reading the answer
    ├── IdempotencyKeyReused    the Idempotency-Key stands for another request
    └── EngineError             the model's server let us down
        ├── EngineRefused           it called the request invalid; names the parameter where it did
        │   └── ContextExceeded         prompt and answer do not fit the model's context
        ├── EngineOverloaded        it, or our queue for it, is full
        ├── EngineUnavailable       no connection, or no healthy endpoint
        ├── EngineTimeout           too slow to the first token, between tokens, or in all
        └── EngineFailed            it broke down, or spoke nonsense
            └── AskedAmiss              it wants to be asked in another way, as it will be from now on

``accounts.keys`` and ``credits.ledger`` raise their own; ``web.errors`` gives each its HTTP status.
"""

from core.errors import DomainError


class InferenceError(DomainError):
    """A call that could not be answered."""

    code = "server_error"

    def __init__(self, message: str = "", *, param: str | None = None, retry_after_seconds: int | None = None) -> None:
        super().__init__(message or (self.__doc__ or "").strip())
        self.param = param
        self.retry_after_seconds = retry_after_seconds


class InvalidRequest(InferenceError):
    """Invalid request parameters."""

    code = "invalid_parameter"


class MalformedBody(InvalidRequest):
    """The body is not valid JSON."""

    code = "malformed_body"


class UnsupportedParameter(InvalidRequest):
    """This model does not support the parameter."""

    code = "unsupported_parameter"


class ModelNotFound(InferenceError):
    """The model was not found."""

    code = "model_not_found"

    @classmethod
    def named(cls, model_id: str) -> "ModelNotFound":
        """Say which model, and nothing about whether it exists for somebody else."""
        return cls(f"The model `{model_id}` does not exist or you do not have access to it.", param="model")


class ReceiptNotFound(InferenceError):
    """There is no such receipt here. A request that was refused before it held credits has none."""

    code = "receipt_not_found"


class InferenceDisabled(InferenceError):
    """The inference gateway is not enabled for your organization"""

    code = "inference_disabled"


class ConcurrencyLimited(InferenceError):
    """Concurrency limit reached for requests"""

    code = "concurrency_limit_reached"

    @classmethod
    def at(cls, limit: int, retry_after_seconds: int) -> "ConcurrencyLimited":
        """Say how many may be in flight, and when one of them will probably have ended."""
        refusal = cls(retry_after_seconds=retry_after_seconds)
        refusal.limit = limit
        return refusal


class ReaderLagged(InferenceError):
    """The answer was not read quickly enough"""

    code = "reader_too_slow"


class IdempotencyKeyReused(InferenceError):
    """This Idempotency-Key was sent with another request before. Use a new one for each request."""

    code = "idempotency_key_reused"


class EngineError(InferenceError):
    """The server had an error while processing your request"""

    # Which request failed, and how the server answered: for whoever runs it, and never for callers.
    details = ""


class EngineRefused(EngineError):
    """The engine refused the request as invalid."""

    code = "invalid_parameter"


class ContextExceeded(EngineRefused):
    """The request does not fit the model's context. Counts are in tokens, None where they are not known.

    What the engine said stands behind OpenAI's own sentence, by which clients know that the conversation is too long.
    """

    code = "context_length_exceeded"

    def __init__(
        self,
        message: str = "",
        *,
        param: str | None = None,
        context_tokens: int | None = None,
        prompt_tokens: int | None = None,
        completion_tokens: int | None = None,
    ) -> None:
        super().__init__(message, param=param)
        self.context_tokens = context_tokens
        self.prompt_tokens = prompt_tokens
        self.completion_tokens = completion_tokens

    @property
    def message(self) -> str:
        """The sentence shown to the caller."""
        said = super().message
        if self.context_tokens is None:
            return said
        # Some clients are shown no more than the sentence, and look for the code in it.
        sentence = f"This model's maximum context length is {self.context_tokens} tokens. However, {self._asked}."
        return f"{sentence} ({self.code}: {said})"

    @property
    def _asked(self) -> str:
        prompt, completion = self.prompt_tokens, self.completion_tokens
        if prompt is None:
            return "your messages resulted in more tokens than that. Please reduce the length of the messages"
        if not completion:
            return f"your messages resulted in {prompt} tokens. Please reduce the length of the messages"
        return (
            f"you requested {prompt + completion} tokens (your messages resulted in {prompt} tokens, and {completion} "
            "are for the completion). Please reduce the length of the messages or completion"
        )


class EngineOverloaded(EngineError):
    """The engine is currently overloaded, please try again later"""

    code = "engine_overloaded"


class EngineUnavailable(EngineError):
    """The engine is not reachable at present, please try again later"""

    code = "engine_unavailable"


class EngineTimeout(EngineError):
    """The engine took too long to answer"""

    code = "engine_timeout"


class EngineFailed(EngineError):
    """The server had an error while processing your request"""


class AskedAmiss(EngineFailed):
    """The server had an error while processing your request"""
