"""Frameworks and small clients in Python: each with a second turn of what it was given first."""

import pytest

from inference.models import Run
from tests.clients.conftest import Program

# Clients of this size take their time to begin.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(600)]

SAID = "You said: hello"
TOOL = "The tool gave: rain"


def test_huggingface_hub(program: Program) -> None:
    found = program("official", "hub.py")
    assert found["chat"] == found["streamed"] == SAID
    assert found["arguments"] == '{"city": "text"}'
    assert found["answered"] == TOOL
    assert found["own"] == found["schema"] == '{"name": "text", "age": 1}'
    assert found["overflow"] == [400, True]
    assert found["quota"] == [402, False]


@pytest.mark.slow_client
def test_llm(program: Program) -> None:
    found = program("official", "llm_tool.py")
    assert found["said"] == found["whole"] == SAID
    assert found["again"] == "You said: and now?"
    assert found["schema"] == '{"name": "text", "age": 1}'
    assert found["tool"] == "The tool gave: rain in text"


def test_langchain(program: Program) -> None:
    found = program("langchain", "langchain_chat.py")
    assert found["said"] == found["streamed"] == found["responses_said"] == found["responses_streamed"] == SAID
    assert found["usage"]["input_token_details"]["cache_read"] == 2
    assert found["turns"] == found["responses_turns"] == [{"city": "text"}, TOOL, "You said: and now?"]
    assert found["schema"] == found["function"] == {"name": "text", "age": 1}
    assert "ContextOverflowError" in found["overflow"]["kinds"], found["overflow"]
    assert "ContextOverflowError" in found["responses_overflow"]["kinds"]
    assert found["quota"]["status"] == 402


def test_litellm(program: Program) -> None:
    found = program("litellm", "litellm_chat.py")
    assert found["chat"] == found["streamed"] == found["anthropic"] == found["responses"] == SAID
    assert found["turns"] == [f"The tool gave: rain {turn}" for turn in range(30)]
    assert "ContextWindowExceededError" in found["overflow"]["kinds"]
    # Its router goes on with another model where credits ended.
    assert found["gone_on"] == SAID
    # Each turn was charged once: a call and an answer.
    assert Run.objects.filter(cost_nano__gt=0).count() == 4 + 2 * 30 + 1


@pytest.mark.slow_client
def test_agents(program: Program) -> None:
    found = program("agents", "agent_loops.py")
    openai = found["openai"]
    for turns in (
        found["pydantic_chats"],
        found["pydantic_responses"],
        found["pydantic_messages"],
        openai["responses"],
        openai["chats"],
    ):
        assert turns == ["The tool gave: rain in text"] * 30
    assert openai["streamed"] == "The tool gave: rain in text"
    assert openai["typed"] == found["pydantic_typed"] == {"name": "text", "age": 1}
    # Each turn was charged once: a call and an answer.
    assert Run.objects.filter(cost_nano__gt=0).count() == 5 * 60 + 2 + 2


@pytest.mark.slow_client
def test_llamaindex(program: Program) -> None:
    found = program("llamaindex", "llamaindex_chat.py")
    assert found["said"] == found["streamed"] == SAID
    assert (found["arguments"], found["answered"], found["again"]) == ({"city": "text"}, TOOL, "You said: and now?")
    assert found["schema"] == {"name": "text", "age": 1}
    assert "BadRequestError" in found["overflow"]["kinds"]
    assert found["quota"]["status"] == 402
