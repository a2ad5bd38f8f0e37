"""What servers say of a request that is too long, and what callers read of it."""

from typing import Any

import pytest

from inference.engines.overflow import overflow
from inference.errors import ContextExceeded

MESSAGES_ONLY = (
    "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens. "
    "Please reduce the length of the messages."
)
WITH_COMPLETION = (
    "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens (your messages resulted in "
    "200 tokens, and 8800 are for the completion). Please reduce the length of the messages or completion."
)
UNKNOWN_LENGTH = (
    "This model's maximum context length is 8192 tokens. However, your messages resulted in more tokens than that. "
    "Please reduce the length of the messages."
)


@pytest.mark.parametrize(
    ("said", "details", "sentence", "param"),
    [
        ("`messages` must have less than 8192 tokens. Given: 9000", None, MESSAGES_ONLY, "messages"),
        (
            "`messages` tokens + `max_tokens` must be <= 8192. Given: 200 `messages` tokens and 8800 `max_tokens`",
            None,
            WITH_COMPLETION,
            "max_tokens",
        ),
        ("request (9000 tokens) exceeds the available context size (8192 tokens)", None, MESSAGES_ONLY, "messages"),
        (
            "the request exceeds the available context size",
            {"n_ctx": 8192, "n_prompt_tokens": 9000},
            MESSAGES_ONLY,
            "messages",
        ),
        (
            "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens (200 in the "
            "messages, 8800 in the completion). Please reduce the length of the messages or completion.",
            None,
            WITH_COMPLETION,
            "messages",
        ),
        (
            "This model's maximum context length is 8192 tokens. However, your request has 9000 input tokens.",
            None,
            MESSAGES_ONLY,
            "messages",
        ),
        (
            "'max_tokens' or 'max_completion_tokens' is too large: 8800. This model's maximum context length is 8192 "
            "tokens and your request has 200 input tokens (8800 > 8192 - 200).",
            None,
            WITH_COMPLETION,
            "max_tokens",
        ),
        (
            "You passed 9000 input tokens and requested 0 output tokens. However, the model's context length is only "
            "8192 tokens, resulting in a maximum input length of 8192 tokens.",
            None,
            MESSAGES_ONLY,
            "messages",
        ),
        (
            "The input (9000 tokens) is longer than the model's context length (8192 tokens).",
            None,
            MESSAGES_ONLY,
            "messages",
        ),
        (
            "Requested token count exceeds the model's maximum context length of 8192 tokens. You requested a total of "
            "9000 tokens: 200 tokens from the input messages and 8800 tokens for the completion.",
            None,
            WITH_COMPLETION,
            "messages",
        ),
        ("the context window of 8192 is full", None, UNKNOWN_LENGTH, "messages"),
    ],
)
def test_what_is_too_long_is_told_with_its_numbers(said: str, details: Any, sentence: str, param: str) -> None:
    error = overflow(said, details)
    assert error
    assert error.message == f"{sentence} (context_length_exceeded: {said})"
    assert error.param == param


def test_without_a_number_the_server_speaks_for_itself() -> None:
    error = overflow("the context window is full")
    assert error
    assert error.message == "the context window is full"
    assert isinstance(error, ContextExceeded)


@pytest.mark.parametrize("said", ["temperature must be less than 2", "no such model", ""])
def test_any_other_refusal_is_not_about_the_length(said: str) -> None:
    assert overflow(said) is None
