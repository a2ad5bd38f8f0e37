"""The official client asks, and gets its answer whole."""

import gzip
import json
from typing import Any

import httpx2
import pytest
import zstandard
from openai import OpenAI
from pytest_django.fixtures import Settings

from accounts.models import Team
from inference.models import Run
from tests.api.scenes import balance, body, the_run
from tests.fakes.tgi import FakeTgi
from tests.inference.scenes import DOLLAR, HELLO, MODEL, asked, cost_nano, prompt_tokens

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_chat_is_answered_and_paid_for(client: OpenAI, tgi: FakeTgi, funded: Team) -> None:
    answer = client.chat.completions.with_raw_response.create(**body())
    completion = answer.parse()
    choice = completion.choices[0]
    assert choice.message.content == "The quick brown fox jumps over the lazy dog."
    assert (choice.message.role, choice.finish_reason, choice.index) == ("assistant", "stop", 0)
    assert (completion.object, completion.model) == ("chat.completion", MODEL)
    assert completion.id.startswith("chatcmpl-")
    assert completion.id.removeprefix("chatcmpl-") == answer.headers["x-request-id"].removeprefix("req_")
    assert completion.usage
    # The last token is the end of the answer, which has no text.
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (prompt_tokens(), 11)
    assert completion.usage.total_tokens == prompt_tokens() + 11
    assert asked(tgi)[0].json["messages"] == HELLO
    assert balance(funded) == DOLLAR - cost_nano(11)


def test_the_row_of_a_run_is_complete(client: OpenAI, tgi: FakeTgi, funded: Team) -> None:
    completion = client.chat.completions.create(**body(max_tokens=3))
    run = the_run()
    assert run.id == completion.id.removeprefix("chatcmpl-")
    assert (run.model_id, run.project.slug, run.user.email) == (MODEL, "inference", "member@example.org")
    assert run.key
    assert run.endpoint
    assert run.price.model_id == MODEL
    assert (run.ending, run.error, run.counting, run.streamed) == (Run.Ending.LENGTH, "", Run.Counting.ENGINE, False)
    assert (run.prompt_tokens, run.cached_tokens) == (prompt_tokens(), 0)
    assert (run.generated_tokens, run.delivered_tokens) == (3, 3)
    assert run.cost_nano == cost_nano(3)


def test_an_answer_cut_at_its_limit_says_so(client: OpenAI, tgi: FakeTgi, funded: Team) -> None:
    for limit in ({"max_tokens": 2}, {"max_completion_tokens": 2}):
        choice = client.chat.completions.create(**body(**limit)).choices[0]
        assert (choice.message.content, choice.finish_reason) == ("The quick", "length")


def test_a_stop_sequence_ends_the_answer_before_it(client: OpenAI, tgi: FakeTgi, funded: Team) -> None:
    choice = client.chat.completions.create(**body(stop=[" fox j", " lazy"])).choices[0]
    assert (choice.message.content, choice.finish_reason) == ("The quick brown", "stop")


def test_the_whole_answer_and_the_stream_are_the_same_run(client: OpenAI, tgi: FakeTgi, funded: Team) -> None:
    client.chat.completions.create(**body())
    assert asked(tgi)[0].json["stream"] is True


def test_unicode_comes_back_as_it_went_out(client: OpenAI, tgi: FakeTgi, funded: Team) -> None:
    words = ["née", " 🦊", "\u2028", "\u0085", " 日本", '\n"\\', "\x00"]
    tgi.script.answer = words
    assert client.chat.completions.create(**body()).choices[0].message.content == "".join(words)
    stream = client.chat.completions.create(**body(stream=True))
    assert [chunk.choices[0].delta.content for chunk in stream][1:-1] == words


def test_an_answer_without_a_word_costs_nothing(client: OpenAI, tgi: FakeTgi, funded: Team) -> None:
    tgi.script.answer = []
    completion = client.chat.completions.create(**body())
    assert (completion.choices[0].message.content, completion.choices[0].finish_reason) == ("", "stop")
    assert balance(funded) == DOLLAR
    assert the_run().delivered_tokens == 0


def test_a_compressed_body_is_read(raw: httpx2.Client, tgi: FakeTgi, funded: Team, settings: Settings) -> None:
    plain = json.dumps(body()).encode()
    for encoding, content in (("gzip", gzip.compress(plain)), ("zstd", zstandard.compress(plain))):
        response = raw.post("/v1/chat/completions", content=content, headers={"Content-Encoding": encoding})
        assert response.status_code == 200
    wrong = raw.post("/v1/chat/completions", content=plain, headers={"Content-Encoding": "br"})
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (415, "unsupported_media_type")
    settings.MAX_BODY_BYTES = 10_000
    bomb = gzip.compress(json.dumps(body(user="x" * 1_000_000)).encode())
    large = raw.post("/v1/chat/completions", content=bomb, headers={"Content-Encoding": "gzip"})
    assert (large.status_code, large.json()["error"]["code"]) == (413, "request_too_large")


def test_what_was_left_out_is_named_in_the_head(raw: httpx2.Client, tgi: FakeTgi, funded: Team) -> None:
    fields: dict[str, Any] = {
        "verbosity": "low",
        "messages": [{"role": "user", "content": "hi", "cache_control": {"type": "x"}}],
    }
    for stream in (False, True):
        response = raw.post("/v1/chat/completions", json=body(**fields, stream=stream))
        assert response.headers["parley-ignored"] == "verbosity, messages[0].cache_control"
    assert "parley-ignored" not in raw.post("/v1/chat/completions", json=body()).headers
    assert "cache_control" not in str([request.json for request in tgi.requests if request.method == "POST"])
