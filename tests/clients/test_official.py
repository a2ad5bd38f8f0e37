"""The official packages of OpenAI and Anthropic do all that they can do elsewhere."""

import pytest

from inference.models import Run
from tests.clients.conftest import Program
from tests.inference.scenes import MODEL

# Clients of this size take their time to begin.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(600)]

SAID = "You said: hello"


def test_openai_in_python(program: Program) -> None:
    found = program("official", "openai_python.py")
    assert found["chat"] == found["streamed"] == found["response"] == found["response_streamed"] == SAID
    assert found["reasons"] == ["stop"]
    assert found["usage"]["prompt_tokens_details"]["cached_tokens"] == 2
    assert found["arguments"] == found["stream_arguments"] == '{"city": "text"}'
    assert found["answered"] == found["by_id"] == found["by_items"] == "The tool gave: rain"
    assert found["third"] == "You said: and now?"
    assert found["parsed"] == found["person"] == {"name": "text", "age": 1}
    assert found["response_events"] == [
        *("response.created", "response.in_progress", "response.output_item.added", "response.content_part.added"),
        "response.completed",
    ]
    assert found["response_usage"]["input_tokens_details"]["cached_tokens"] == 2
    assert found["models"] == [MODEL]
    assert (found["overflow"]["status"], found["overflow"]["code"]) == (400, "context_length_exceeded")
    assert (found["quota"]["status"], found["quota"]["code"]) == (402, "insufficient_quota")
    assert "BadRequestError" in found["invalid"]["kinds"]
    # Each answer was charged once.
    assert Run.objects.filter(cost_nano__gt=0).count() == 13


def test_anthropic_in_python(program: Program) -> None:
    found = program("official", "anthropic_python.py")
    assert found["message"] == found["streamed"] == found["bearer"] == SAID
    assert found["stop_reason"] == "end_turn"
    assert found["usage"]["cache_read_input_tokens"] == found["stream_usage"]["cache_read_input_tokens"] == 2
    assert found["usage"]["output_tokens"] == 3
    assert found["input"] == found["stream_input"] == {"city": "text"}
    assert found["called_stop_reason"] == "tool_use"
    assert found["answered"] == "The tool gave: rain"
    assert found["beta"].startswith("You said: What does get_weather say?")
    assert found["counted"] > 1
    assert found["models"] == ["anthropic--fable--fox-1b"]
    assert "BadRequestError" in found["overflow"]["kinds"]
    assert found["quota"]["status"] == 402
    assert "BadRequestError" in found["invalid"]["kinds"]
    assert Run.objects.filter(cost_nano__gt=0).count() == 7
