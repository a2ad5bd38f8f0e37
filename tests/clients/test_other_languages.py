"""Clients in JavaScript and Go: the official packages, and Vercel's AI SDK with its defaults."""

import pytest

from inference.models import Run
from tests.clients.conftest import Program

# Clients of this size take their time to begin.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(600), pytest.mark.slow_client]

SAID = "You said: hello"


def test_node_and_the_ai_sdk(program: Program) -> None:
    found = program("node", "clients.mjs")
    node = found["node"]
    assert node["chat"] == node["streamed"] == node["response"] == node["responseStreamed"] == SAID
    assert node["ran"] == "The tool gave: rain"
    assert node["last"] == "response.completed"
    assert (node["overflow"]["status"], node["overflow"]["code"]) == (400, "context_length_exceeded")
    assert (node["quota"]["status"], node["quota"]["code"]) == (402, "insufficient_quota")
    for way in ("responses", "chats", "compatible", "messages"):
        sdk = found[way]
        assert (sdk["turns"], sdk["said"]) == (30, ["The tool gave: rain in text"]), way
        assert (sdk["streamed"], sdk["usage"], sdk["reason"]) == (SAID, True, "stop"), way
        assert sdk["object"] == {"name": "text", "age": 1}, way
        assert sdk["overflow"]["status"] == 400, way
    # Each turn was charged once: a call and an answer.
    assert Run.objects.filter(cost_nano__gt=0).count() == 6 + 4 * (60 + 2)


def test_go(program: Program) -> None:
    found = program("go", "")
    assert found["chat"] == found["streamed"] == found["response"] == SAID
    assert (found["arguments"], found["answered"]) == ('{"city": "text"}', "The tool gave: rain")
    assert found["overflow"] == {"status": 400, "code": "context_length_exceeded"}
