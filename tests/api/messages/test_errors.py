"""Errors in Anthropic's words."""

from typing import Any

import pytest

from api.messages.errors import error_fields, status_of
from core.errors import Failure
from inference.errors import ContextExceeded
from web.errors import MEANINGS, Problem, describe


def sentence(**counts: Any) -> str:
    problem = describe(ContextExceeded("said", context_tokens=4096, **counts))
    fields = error_fields(problem, "req_1")
    assert fields["error"]["type"] == "invalid_request_error"
    return str(fields["error"]["message"])


def test_a_prompt_that_is_too_long_is_told_in_anthropics_sentence() -> None:
    assert sentence(prompt_tokens=5000) == "prompt is too long: 5000 tokens > 4096 maximum"
    assert sentence(prompt_tokens=5000, completion_tokens=10) == "prompt is too long: 5000 tokens > 4096 maximum"
    assert sentence(prompt_tokens=4000, completion_tokens=100).startswith(
        "input length and `max_tokens` exceed context limit: 4000 + 100 > 4096"
    )


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("invalid_parameter", 400, "invalid_request_error"),
        ("invalid_api_key", 401, "authentication_error"),
        ("insufficient_quota", 402, "billing_error"),
        ("inference_disabled", 403, "permission_error"),
        ("model_not_found", 404, "not_found_error"),
        ("request_too_large", 413, "request_too_large"),
        ("concurrency_limit_reached", 429, "rate_limit_error"),
        ("engine_overloaded", 529, "overloaded_error"),
        ("engine_unavailable", 503, "overloaded_error"),
        ("engine_timeout", 504, "timeout_error"),
        ("server_error", 500, "api_error"),
    ],
)
def test_each_error_has_anthropics_type(code: str, status: int, kind: str) -> None:
    problem = Problem.of(Failure(code, "Sorry"))
    fields = error_fields(problem, "req_1")
    assert fields == {"type": "error", "error": {"type": kind, "message": "Sorry"}, "request_id": "req_1"}
    assert status_of(problem) == status


def test_every_code_has_one() -> None:
    for code in MEANINGS:
        assert error_fields(Problem.of(Failure(code, "x")), "req_1")["error"]["type"]
