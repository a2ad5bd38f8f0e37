"""Whatever an engine's events look like: what can be understood is read, what cannot is an error, in every dialect."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from inference.chunks import Usage
from inference.engines.base import EndpointAddress
from inference.errors import EngineError, EngineFailed, EngineOverloaded, EngineRefused
from tests.fakes.raw import RawServer, Reply
from tests.inference.clients import engine_for
from tests.inference.engines.conversation import answer, answer_in, called, chat, final_usage, finish_reasons, text
from tests.inference.engines.streams import COUNTS, KINDS, call, calls, chunk, stream


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("events", "said"),
    [
        (
            [chunk({"content": [{"type": "text", "text": "a"}, {"type": "output_text", "text": "b"}, "c"]})],
            ("abc", "", ""),
        ),
        ([chunk({"content": {"type": "text", "text": "a"}})], ("a", "", "")),
        (
            [
                chunk({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]}),
                chunk({"content": "a"}),
            ],
            ("a", "hm", ""),
        ),
        (
            [
                chunk(
                    {
                        "content": [
                            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
                            {"type": "redacted_thinking", "data": "x"},
                            {"type": "text", "text": "a"},
                        ]
                    }
                )
            ],
            ("a", "hm", ""),
        ),
        ([chunk({"content": 7}), chunk({"content": True}), chunk({"content": 0.5})], ("7true0.5", "", "")),
        ([chunk({"content": []}), chunk({"content": {}}), chunk("a")], ("a", "", "")),
        ([chunk([]), chunk({"content": "a"}), chunk(0), chunk(False)], ("a", "", "")),
        ([chunk({"reasoning_content": [{"text": "h"}, {"text": "m"}]}), chunk({"content": "a"})], ("a", "hm", "")),
        ([chunk({"reasoning": {"content": "hm"}}), chunk({"content": "a"})], ("a", "hm", "")),
        ([chunk({"thinking": "hm"}), chunk({"content": "a"})], ("a", "hm", "")),
        (
            [chunk({"reasoning_details": [{"type": "reasoning.text", "text": "hm"}]}), chunk({"content": "a"})],
            ("a", "hm", ""),
        ),
        ([chunk({"reasoning_details": [{"type": "reasoning.encrypted", "data": "x"}], "content": "a"})], ("a", "", "")),
        (
            [
                chunk({"reasoning": "hm", "reasoning_content": "hm", "reasoning_details": [{"text": "hm"}]}),
                chunk({"content": "a"}),
            ],
            ("a", "hm", ""),
        ),
        ([chunk({"refusal": "no"})], ("", "", "no")),
        ([chunk({"content": [{"type": "refusal", "refusal": "no"}]})], ("", "", "no")),
        # Others than deltas.
        (
            [
                {"choices": [{"message": {"role": "assistant", "content": "a"}}]},
                {"choices": [{"message": {"content": "b"}}]},
            ],
            ("ab", "", ""),
        ),
        (
            [chunk({"content": "ab"}), {"choices": [{"message": {"content": "ab"}, "finish_reason": "stop"}]}],
            ("ab", "", ""),
        ),
        ([{"choices": [{"delta": {}, "message": {"content": "ab"}}]}], ("ab", "", "")),
        ([{"choices": [{"delta": None, "text": "ab"}]}], ("ab", "", "")),
        ([{"choices": {"index": 0, "delta": {"content": "ab"}}}], ("ab", "", "")),
        ([[chunk({"content": "a"}), chunk({"content": "b"})]], ("ab", "", "")),
        (
            [json.dumps(chunk({"content": "a"})).encode() + b" " + json.dumps(chunk({"content": "b"})).encode()],
            ("ab", "", ""),
        ),
        ([json.dumps(chunk({"content": "a"}), indent=1).replace("\n", "\ndata: ").encode()], ("a", "", "")),
        # Characters in parts.
        (
            [b'{"choices":[{"delta":{"content":"A\\ud83d"}}]}', b'{"choices":[{"delta":{"content":"\\ude00B"}}]}'],
            ("A\U0001f600B", "", ""),
        ),
        (
            [
                b'{"choices":[{"delta":{"content":"\\ud83d"}}]}',
                chunk({"content": ""}),
                b'{"choices":[{"delta":{"content":"\\ude00"}}]}',
            ],
            ("\U0001f600", "", ""),
        ),
        ([b'{"choices":[{"delta":{"content":"\\ud83d"}}]}', chunk({"content": "B"})], ("\ufffdB", "", "")),
        ([b'{"choices":[{"delta":{"content":"A\\ud83d"}}]}'], ("A\ufffd", "", "")),
        ([b'{"choices":[{"delta":{"content":"\\ude00B"}}]}'], ("\ufffdB", "", "")),
        (
            [
                b'{"choices":[{"delta":{"reasoning":"\\ud83d"}}]}',
                b'{"choices":[{"delta":{"content":"\\ud83d"}}]}',
                b'{"choices":[{"delta":{"reasoning":"\\ude00"}}]}',
                b'{"choices":[{"delta":{"content":"\\ude00"}}]}',
            ],
            ("\U0001f600", "\U0001f600", ""),
        ),
        (
            [b'{"choices":[{"delta":{"content":"A\xf0\x9f"}}]}', b'{"choices":[{"delta":{"content":"\x98\x80B"}}]}'],
            ("A\U0001f600B", "", ""),
        ),
        ([b'{"choices":[{"delta":{"content":"A\xffB"}}]}'], ("A\ufffdB", "", "")),
        ([b'{"choices":[{"delta":{"content":"\xec\x95"}}]}', chunk({"content": "B"})], ("\ufffdB", "", "")),
        ([b'{"choices":[{"delta":{"content":"\xed\xa0\xbd\xed\xb8\x80"}}]}'], ("\U0001f600", "", "")),
        ([b'{"choices":[{"delta":{"content":"A\x01\tB"}}]}'], ("A\x01\tB", "", "")),
    ],
)
async def test_what_is_said_is_read_in_any_shape(kind: str, events: Sequence[Any], said: tuple[str, str, str]) -> None:
    chunks = await answer_in(kind, stream(*events))
    assert text(chunks) == said[0]
    assert "".join(each.reasoning or "" for each in chunks) == said[1]
    assert "".join(each.refusal or "" for each in chunks) == said[2]
    assert finish_reasons(chunks) == ["stop"]
    assert final_usage(chunks) == Usage(10, 5)


OUTSIDE = ("id", "object", "created", "model", "system_fingerprint", "service_tier", "metrics", "usage", "timings")
INSIDE = ("logprobs", "stop_reason", "token_ids", "usage", "content_filter_results")


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        True,
        -1,
        0.5,
        10**30,
        "x",
        [],
        {},
        [[]],
        {"a": [None]},
        b"NaN",
        b"-Infinity",
        b"1e400",
        b'"\\ud83d"',
        b'"\xff"',
        b"9" * 5_000,
        b"[" * 9_000 + b"]" * 9_000,
    ],
)
@pytest.mark.parametrize(
    ("outside", "inside", "said"),
    [
        *((name, "", "") for name in OUTSIDE),
        *(("", name, "") for name in INSIDE),
        *(("", "", name) for name in ("role", "annotations", "audio")),
    ],
)
async def test_what_nobody_reads_cannot_hurt(outside: str, inside: str, said: str, wrong: Any) -> None:
    value = wrong if isinstance(wrong, bytes) else json.dumps(wrong).encode()
    event = chunk({"content": "Hi", **({said: "@"} if said else {})}, **({inside: "@"} if inside else {}))
    written = json.dumps(event | ({outside: "@"} if outside else {})).encode().replace(b'"@"', value)
    chunks = await answer_in("llamacpp" if outside == "timings" else "openai", stream(written))
    assert (text(chunks), finish_reasons(chunks), final_usage(chunks)) == ("Hi", ["stop"], Usage(10, 5))


@pytest.mark.parametrize("index", ["null", "false", '"0"', "0.0", "-1", "{}", '"x"', "NaN"])
async def test_an_index_that_is_none_is_that_of_the_only_choice(index: str) -> None:
    event = b'{"choices":[{"index":%b,"delta":{"content":"Hi"}}]}' % index.encode()
    assert text(await answer_in("openai", stream(event))) == "Hi"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("told", "usage"),
    [
        ({"prompt_tokens": "10", "completion_tokens": "5"}, Usage(10, 5)),
        ({"prompt_tokens": 10.0, "completion_tokens": 5.0, "total_tokens": 15.5}, Usage(10, 5)),
        ({"prompt_tokens": "10.0", "completion_tokens": "5", "cost": "0.1"}, Usage(10, 5)),
        ({"input_tokens": "10", "output_tokens": 5.0}, Usage(10, 5)),
        ({**COUNTS, "prompt_tokens_details": {"cached_tokens": 4.0}}, Usage(10, 5, 4)),
        ({**COUNTS, "prompt_tokens_details": "none"}, Usage(10, 5)),
        ({**COUNTS, "prompt_tokens_details": {"cached_tokens": 99}}, Usage(10, 5, 10)),
        ({**COUNTS, "prompt_tokens_details": {"cached_tokens": -3}}, Usage(10, 5)),
        ({**COUNTS, "prompt_cache_hit_tokens": 4}, Usage(10, 5, 4)),
        ({**COUNTS, "completion_tokens_details": [], "prompt_tokens_details": None}, Usage(10, 5)),
        ({"prompt_tokens": -1, "completion_tokens": -5}, None),
        ({"prompt_tokens": 10, "completion_tokens": -5}, None),
        ({"prompt_tokens": None, "completion_tokens": 5}, None),
        ({"prompt_tokens": 10.5, "completion_tokens": 5}, None),
        ({"prompt_tokens": "many", "completion_tokens": 5}, None),
        ({"prompt_tokens": True, "completion_tokens": 5}, None),
        ({"prompt_tokens": {}, "completion_tokens": []}, None),
        ({"prompt_tokens": float("nan"), "completion_tokens": float("inf")}, None),
        ({"prompt_tokens": "9" * 5_000, "completion_tokens": 5.0}, None),
        ({}, None),
        ("n/a", None),
        ([], None),
        (5, None),
    ],
)
async def test_counts_are_read_however_they_are_written(kind: str, told: Any, usage: Usage | None) -> None:
    chunks = await answer_in(kind, stream(chunk({"content": "Hi"}), counts=told))
    assert (text(chunks), finish_reasons(chunks), final_usage(chunks)) == ("Hi", ["stop"], usage)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("told", "reason"),
    [
        *(
            (each, "stop")
            for each in (
                "stop",
                "STOP",
                "eos",
                "eos_token",
                "end_turn",
                "endTurn",
                "stop_sequence",
                "COMPLETE",
                "whatever",
                True,
                1,
                {"type": "stop"},
            )
        ),
        *(
            (each, "length")
            for each in (
                "length",
                "LENGTH",
                "max_tokens",
                "MAX_TOKENS",
                "maxTokens",
                "max-output-tokens",
                "model_context_window_exceeded",
                "truncated",
                {"type": "length"},
            )
        ),
        *(
            (each, "content_filter")
            for each in ("content_filter", "SAFETY", "sensitive", "PROHIBITED_CONTENT", "guardrail_intervened")
        ),
        # Nothing was called.
        *((each, "stop") for each in ("tool_calls", "function_call")),
    ],
)
async def test_finish_reasons_are_told_in_openais_words(kind: str, told: Any, reason: str) -> None:
    assert finish_reasons(await answer_in(kind, stream(chunk({"content": "Hi"}), end=told))) == [reason]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "told",
    [
        "error",
        "abort",
        "network_error",
        "insufficient_system_resource",
        "CANCELLED",
        "MALFORMED_FUNCTION_CALL",
        "timeout",
        "OTHER",
    ],
)
async def test_what_was_no_proper_end_is_an_error(kind: str, told: str) -> None:
    with pytest.raises(EngineFailed):
        await answer_in(kind, stream(chunk({"content": "Hi"}), end=told))


@pytest.mark.parametrize("told", ["", "null", "None", False, 0, [], {}])
async def test_a_finish_reason_that_is_none_ends_nothing(told: Any) -> None:
    chunks = await answer_in(
        "openai", stream(chunk({"content": "Hi"}, told), chunk({"content": " you"}, told), end="length")
    )
    assert (text(chunks), finish_reasons(chunks)) == ("Hi you", ["length"])


WHOLE = {
    "object": "chat.completion",
    "choices": [{"message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
    "usage": COUNTS,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "body",
    [
        json.dumps(WHOLE).encode(),
        json.dumps(WHOLE, indent=2).replace("\n", "\n\n").encode(),
        b"\xef\xbb\xbf\r\n" + json.dumps(WHOLE).encode(),
        json.dumps([chunk({"content": "Hi"}), chunk({}, "stop"), {"choices": [], "usage": COUNTS}]).encode(),
        b"".join(
            json.dumps(each).encode() + b"\n"
            for each in (chunk({"content": "Hi"}, "stop"), {"choices": [], "usage": COUNTS})
        ),
        b"data: " + json.dumps(WHOLE).encode(),
    ],
)
async def test_a_whole_answer_is_as_good_as_a_stream(kind: str, body: bytes) -> None:
    chunks = await answer_in(kind, body, content_type="application/json")
    assert (text(chunks), finish_reasons(chunks), final_usage(chunks)) == ("Hi", ["stop"], Usage(10, 5))


async def test_an_error_in_the_place_of_a_stream_tells_its_kind() -> None:
    body = {"error": {"message": "This model's maximum context length is 10", "type": "invalid_request_error"}}
    with pytest.raises(EngineError) as raised:
        await answer_in("openai", json.dumps(body).encode(), content_type="application/json")
    assert raised.value.code == "context_length_exceeded"


USUAL = stream(chunk({"role": "assistant", "content": "Hi"}), chunk({"content": " 안녕\u2028"}))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "body",
    [
        USUAL.replace(b"\n", b"\r\n"),
        USUAL.replace(b"\n", b"\r"),
        b"\xef\xbb\xbf" + USUAL,
        USUAL.replace(b"data: ", b"data:"),
        USUAL.replace(b"data: ", b"event: message\nid: 3\nretry: 10\ndata: "),
        USUAL.replace(b"\n\n", b"\nid: 3\n\n"),
        USUAL.replace(b"\n\n", b"\n"),
        b": hello\n\n:\n\n" + USUAL.replace(b"data: ", b": ping\ndata: "),
        USUAL.replace(b"[DONE]", b"[DONE] "),
        USUAL.replace(b"[DONE]", b' "[DONE]"'),
        USUAL.removesuffix(b"\n\n"),
        USUAL.removesuffix(b"data: [DONE]\n\n"),
        USUAL.replace(b"data: [DONE]", b"event: done\ndata: [DONE]"),
        b"data:\n\ndata: \n\ndata: null\n\ndata: ping\n\ndata: 7\n\ndata: {}\n\n" + USUAL,
        USUAL + USUAL,
        # What comes behind the end of an answer makes no failure of it.
        USUAL.replace(b"data: [DONE]", b'data: {"choices":"wrong"}\n\ndata: {"cut\n\ndata: {"error":{"message":"no"}}'),
    ],
)
@pytest.mark.parametrize("size", [7, 100_000])
async def test_events_are_read_however_they_are_framed(kind: str, body: bytes, size: int) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    async with RawServer([Reply([head, *pieces], then="close")]) as server:
        address = EndpointAddress(kind, server.url, "", "org/model")
        engine = engine_for(address)
        chunks = await answer(engine)
    assert (text(chunks), finish_reasons(chunks), final_usage(chunks)) == ("Hi 안녕\u2028", ["stop"], Usage(10, 5))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>Sign in</html>",
        b"data: [DONE]\n\n",
        b"{}",
        b"[]",
        b"\n" * 10_000,
        b"data: ping\n\ndata: [DONE]\n\n",
        stream(counts=None, end=None),
        stream(chunk({"role": "assistant"}), end=None),
        # Something was there, which nobody reads: an empty answer would hide it.
        stream(chunk({"role": "assistant", "images": [{"image_url": {"url": "data:"}}]})),
        stream(chunk({"audio": {"data": "AAAA"}})),
        json.dumps({"choices": [{"message": {"audio": {"data": "AAAA"}}, "finish_reason": "stop"}]}).encode(),
        stream(chunk({"content": [{"type": "image_url", "image_url": {"url": "data:"}}]})),
        stream(chunk({}), end="tool_calls"),
        # A piece is lost, or what followed.
        stream(chunk({"content": "a"}), b'{"choices":[{"delta":{"con', chunk({"content": "b"})),
        stream(chunk({"content": "a"}), {"choices": "wrong"}),
        stream(chunk({"content": "a"}), {"choices": [7]}),
        stream(chunk({"content": "a"}), chunk(7)),
        stream(chunk({"content": "a"}), b"error: out of memory", end=None),
        stream(chunk({"content": "a"})).removesuffix(b"data: [DONE]\n\n").replace(b'"stop"', b"null"),
    ],
)
async def test_what_cannot_be_understood_is_an_error(body: bytes) -> None:
    with pytest.raises(EngineFailed):
        await answer_in("openai", body)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b'event: error\ndata: {"message":"no","code":400}\n\n', EngineRefused),
        (b"event: error\ndata: out of memory\n\n", EngineFailed),
        (b'data: {"choices":[],"message":"no","code":500}\n\n', EngineFailed),
        (b'data: {"error":"no"}\n\n', EngineFailed),
        (b'data: {"choices":[{"delta":{"content":""}}],"error":{"code":429,"x":NaN}}\n\n', EngineOverloaded),
    ],
)
async def test_an_error_is_one_wherever_it_stands(body: bytes, error: type[EngineError]) -> None:
    with pytest.raises(error) as raised:
        await answer_in("openai", stream(chunk({"content": "a"}), end=None).replace(b"data: [DONE]\n\n", body))
    assert type(raised.value) is error


@pytest.mark.parametrize("nothing", [None, {}, "", False, [], 0])
async def test_an_error_that_is_none_is_none(nothing: Any) -> None:
    body = stream(chunk({"content": "a"}) | {"error": nothing}, {"choices": [], "message": "ok", "code": 0})
    assert text(await answer_in("openai", body)) == "a"


@pytest.mark.parametrize("kind", ["openai", "llamacpp"])
async def test_an_answer_that_only_says_that_it_is_over_is_whole(kind: str) -> None:
    chunks = await answer_in(kind, stream(chunk({"content": "Hi"}), end=None))
    assert (text(chunks), finish_reasons(chunks)) == ("Hi", ["stop"])
    chunks = await answer_in(kind, stream(calls(call("f", "{}")), end=None))
    assert (called(chunks), finish_reasons(chunks)) == ({0: ("f", "{}")}, ["tool_calls"])
    chunks = await answer_in(kind, stream(chunk({"content": "Hi"}), end=None), chat(max_tokens=5))
    assert finish_reasons(chunks) == ["length"]


async def test_log_probabilities_that_json_has_no_words_for_are_put_right() -> None:
    told = b'{"content":[{"token":"\\ud83d","logprob":-1e400,"top_logprobs":[{"token":"a","logprob":NaN}]}]}'
    event = b'{"choices":[{"delta":{"content":"Hi"},"logprobs":%b}]}' % told
    chunks = await answer_in("openai", stream(event), chat(logprobs=True, top_logprobs=1))
    assert json.loads(bytes(chunks[0].logprobs or b"")) == {
        "content": [{"token": "\ufffd", "logprob": -9999.0, "top_logprobs": [{"token": "a", "logprob": -9999.0}]}]
    }


async def test_log_probabilities_that_nobody_asked_for_are_not_read() -> None:
    event = chunk({"content": "Hi"}, logprobs=12345)
    (first, *_) = await answer_in("openai", stream(event))
    assert (first.content, first.logprobs) == ("Hi", None)


async def test_an_event_may_be_as_long_as_an_answer() -> None:
    assert len(text(await answer_in("openai", stream(chunk({"content": "x" * 3_000_000}))))) == 3_000_000
