"""Streams that were spoilt at random are read as far as they can be, or are an error: no fault of ours, no silence."""

import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from inference.chat import Chat
from inference.chunks import Chunk
from inference.engines.base import Decoder, EndpointAddress
from inference.errors import EngineError
from tests.inference.clients import engine_for
from tests.inference.engines.conversation import chat
from tests.inference.engines.streams import call, calls, chunk, stream

MUTANTS = 60
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
LOGPROBS = {"content": [{"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []}]}
TIMINGS = {"cache_n": 1, "prompt_n": 9, "predicted_n": 3}
VALUES: list[Any] = [
    None,
    True,
    0,
    -1,
    7.5,
    1e308,
    10**30,
    "",
    "x",
    "\ud83d",
    "7",
    [],
    [1],
    ["a"],
    {},
    {"text": "t"},
    [{"type": "text", "text": "t"}],
]

ANSWERS: dict[str, tuple[dict[str, Any], bytes]] = {
    "text": (
        {},
        stream(chunk({"role": "assistant", "content": ""}), *(chunk({"content": word}) for word in ("Fl", "ów", "er"))),
    ),
    "thoughts": ({}, stream(chunk({"reasoning_content": "Hm"}), chunk({"reasoning": "m"}), chunk({"content": "Yes"}))),
    "calls": (
        {"tools": [TOOL]},
        stream(
            calls(call("weather", "", index=0, id="a")),
            calls(call(None, '{"a":', index=0)),
            calls(call(None, "1}", index=0), call("weather", "{}", index=1, id="b")),
            end="tool_calls",
        ),
    ),
    "logprobs": ({"logprobs": True}, stream(chunk({"content": "a"}, logprobs=LOGPROBS), chunk({"content": "b"}))),
    "timings": (
        {},
        stream(chunk({"content": "a"}) | {"timings": TIMINGS}, chunk({"content": "b"}) | {"timings": TIMINGS}),
    ),
}


def places(value: Any, found: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """Return every place in a JSON value, as its container and the key there."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        found.append((value, key))
        places(inner, found)
    return found


def drop_or_change(events: list[bytes], chance: random.Random) -> None:
    """Drop a field of an event, or give it another value."""
    number = chance.randrange(len(events) - 1)
    value = json.loads(events[number])
    container, key = chance.choice(places(value, []))
    if chance.random() < 0.3:
        del container[key]
    else:
        container[key] = chance.choice(VALUES)
    events[number] = json.dumps(value).encode()


def flip(events: list[bytes], chance: random.Random) -> None:
    """Change a byte of an event."""
    number = chance.randrange(len(events))
    spoilt = bytearray(events[number])
    spoilt[chance.randrange(len(spoilt))] = chance.randrange(256)
    events[number] = bytes(spoilt)


def lose(events: list[bytes], chance: random.Random) -> None:
    """Lose an event, say it twice, or have it come at another time."""
    number = chance.randrange(len(events))
    event = events.pop(number)
    events[chance.randrange(len(events)) : 0] = [event] * chance.randrange(3)


WAYS: list[Callable[[list[bytes], random.Random], None]] = [drop_or_change, drop_or_change, flip, lose]


def mutant(body: bytes, chance: random.Random) -> bytes:
    """Return a stream that was spoilt once or a few times."""
    events = [each.removeprefix(b"data: ") for each in body.split(b"\n\n") if each]
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        try:
            chance.choice(WAYS)(events, chance)
        except (ValueError, IndexError):
            # Nothing there to be changed that way any more.
            continue
    spoilt = b"".join(b"data: %b\n\n" % event for event in events)
    return spoilt[: chance.randrange(len(spoilt) + 1)] if chance.random() < 0.1 else spoilt


def read(kind: str, wanted: Chat, body: bytes, chance: random.Random) -> tuple[Decoder, list[Chunk]]:
    """Read a body that comes in pieces, wherever they are split."""
    decoder = engine_for(EndpointAddress(kind, "http://localhost", "", "org/model")).decoder(wanted, 100)
    chunks: list[Chunk] = []
    while body and not decoder.is_ended:
        size = chance.choice((1, 3, 40, 1000))
        chunks += decoder.feed(body[:size])
        body = body[size:]
    return decoder, chunks if decoder.is_ended else chunks + decoder.end()


def check(decoder: Decoder, chunks: list[Chunk]) -> None:
    """Hold an answer against what every one has to keep."""
    assert decoder.is_ended
    reasons = [each.finish_reason for each in chunks if each.finish_reason]
    if decoder.failure:
        assert isinstance(decoder.failure, EngineError)
        assert not reasons
    else:
        # Whatever was lost: one end, which says why.
        assert len(reasons) == 1
        assert reasons[0] in ("stop", "length", "tool_calls", "content_filter")
    told: set[int] = set()
    for each in chunks:
        for text in (each.content, each.reasoning, each.refusal):
            assert text is None or text.encode()
        for piece in each.tool_calls:
            assert piece.function
            # The name comes first, and once.
            assert bool(piece.id) == (piece.index not in told)
            assert piece.function.name or piece.index in told
            told.add(piece.index)
        if each.usage:
            assert min(each.usage.prompt_tokens, each.usage.completion_tokens, each.usage.cached_tokens) >= 0


@pytest.mark.parametrize("kind", ["openai", "vllm", "llamacpp", "ollama", "tgi"])
@pytest.mark.parametrize("name", ANSWERS)
def test_a_spoilt_stream_is_read_or_is_an_error(kind: str, name: str) -> None:
    fields, body = ANSWERS[name]
    wanted, chance = chat(**fields), random.Random(f"{kind} {name}")
    for number in range(MUTANTS):
        spoilt = mutant(body, chance)
        try:
            check(*read(kind, wanted, spoilt, chance))
        except Exception as error:
            raise AssertionError(f"mutant {number}: {spoilt!r}") from error
