"""Errors as Anthropic tells them."""

from typing import Any, Final

from web.errors import Problem

# By our code where the status alone does not tell, else by the status.
_TYPES: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    422: "invalid_request_error",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
# Anthropic's own status for a model that has too much to do.
_OVERLOADED: Final = 529


def status_of(problem: Problem) -> int:
    """Return the status that Anthropic gives a problem."""
    return _OVERLOADED if problem.code == "engine_overloaded" else problem.status


def error_fields(problem: Problem, request_id: str) -> dict[str, Any]:
    """Return the body of an error. ``request_id`` is that of the response's head."""
    kind = "billing_error" if problem.code == "insufficient_quota" else _TYPES.get(problem.status, "api_error")
    return {"type": "error", "error": {"type": kind, "message": _sentence(problem)}, "request_id": request_id}


def _sentence(problem: Problem) -> str:
    """Return the sentence; that of a prompt which is too long is how clients know that they are to shorten it."""
    asked, most = problem.prompt_tokens, problem.context_tokens
    if problem.code != "context_length_exceeded" or asked is None or most is None:
        return problem.message
    if asked > most or not problem.completion_tokens:
        return f"prompt is too long: {asked} tokens > {most} maximum"
    return (
        f"input length and `max_tokens` exceed context limit: {asked} + {problem.completion_tokens} > {most}, "
        "decrease input length or `max_tokens` and try again"
    )
