"""Names that stand for several models: who answers, what is held and charged, and what the caller is told."""

import json
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from django.utils import timezone

from accounts.models import Team
from core import changes
from credits import ledger
from inference.catalog.snapshots import TOPIC
from inference.models import Alias, Endpoint, Model, Price, Run
from tests.api.scenes import balance, body, charges, events, said, the_run
from tests.api.test_completions import FakeContinuing
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.reader import FakeReader
from tests.fakes.tgi import FakeTgi
from tests.inference.scenes import CONTEXT_TOKENS, INPUT_NANO, MODEL, OUTPUT_NANO, asked, cost_nano, register
from tests.patience import until

pytestmark = pytest.mark.django_db(transaction=True)

OWL, ELK = "fable/owl-2b", "fable/elk-3b"
# How many times as dear the owl is.
DEARER = 10


def stand_for(name: str, *targets: tuple[str, int | None]) -> None:
    Alias.objects.create(name=name, targets=[{"model": model, "weight": weight} for model, weight in targets])
    changes.touch(TOPIC)


def ask(raw: httpx2.Client, **fields: Any) -> httpx2.Response:
    return raw.post("/v1/chat/completions", json=body(model="fast", max_tokens=4) | fields)


@pytest.fixture
def fox(tgi: FakeTgi) -> FakeTgi:
    """The model that requests for ``fast`` go to, all of them, as long as it answers."""
    return tgi


@pytest.fixture
def owl(engines: ExitStack, fox: FakeTgi) -> FakeTgi:
    """Another model, which is dearer, and follows where the fox does not answer."""
    server = engines.enter_context(FakeTgi())
    register(server, model_id=OWL)
    Price.objects.create(
        model_id=OWL,
        input_microcredits_per_mtok=DEARER * INPUT_NANO * 1_000,
        output_microcredits_per_mtok=DEARER * OUTPUT_NANO * 1_000,
        cached_input_microcredits_per_mtok=0,
    )
    stand_for("fast", (MODEL, 1), (OWL, None))
    return server


def test_the_answer_and_the_receipt_name_the_model_that_answered(
    owl: FakeTgi, fox: FakeTgi, raw: httpx2.Client, funded: Team
) -> None:
    answer = ask(raw)
    assert (answer.status_code, answer.headers["parley-model"], answer.json()["model"]) == (200, MODEL, MODEL)
    run = the_run()
    assert (run.model_id, run.price.model_id, run.cost_nano) == (MODEL, MODEL, cost_nano(4))
    # The dearest that might have answered is what was held for.
    assert run.held_nano > DEARER * cost_nano(4)
    receipt = raw.get(f"/v1/receipts/{answer.headers['x-request-id']}").json()
    assert receipt["model"] == MODEL
    streamed = ask(raw, stream=True)
    assert streamed.headers["parley-model"] == MODEL
    assert {event["model"] for event in events(streamed.text)} == {MODEL}
    assert "parley-model" not in ask(raw, model=MODEL).headers
    assert not asked(owl)


@pytest.mark.parametrize("trouble", ["gone", "full", "broken", "silent after its first words"])
def test_where_a_model_fails_before_its_first_token_the_next_one_answers(
    trouble: str, owl: FakeTgi, fox: FakeTgi, raw: httpx2.Client, funded: Team
) -> None:
    if trouble == "gone":
        fox.die()
    fox.script.overloaded = trouble == "full"
    fox.script.response = (500, "text/plain", b"CUDA error") if trouble == "broken" else None
    if trouble == "silent after its first words":
        role = {"id": "x", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"role": "assistant"}}]}
        fox.script.response = (200, "text/event-stream", f"data: {json.dumps(role)}\n\n".encode())
    answer = ask(raw, stream=True)
    assert (answer.status_code, answer.headers["parley-model"]) == (200, OWL)
    assert said(events(answer.text)) == "The quick brown fox"
    run = the_run()
    assert (run.model_id, run.price.model_id, run.cost_nano) == (OWL, OWL, DEARER * cost_nano(4))
    assert charges(funded) == [DEARER * cost_nano(4)]


def test_behind_the_first_token_no_other_model_is_asked(
    owl: FakeTgi, fox: FakeTgi, raw: httpx2.Client, funded: Team
) -> None:
    fox.script.break_after = 2
    answer = ask(raw, stream=True)
    assert '"code":"server_error"' in answer.text
    assert not asked(owl)
    assert the_run().cost_nano == cost_nano(2)


def test_what_a_model_refuses_is_refused(owl: FakeTgi, fox: FakeTgi, raw: httpx2.Client, funded: Team) -> None:
    fox.script.response = (422, "application/json", b'{"error": "no such thing", "error_type": "validation"}')
    assert ask(raw).status_code == 400
    assert not asked(owl)


def test_a_model_that_the_hold_is_not_enough_for_is_not_asked(
    owl: FakeTgi, fox: FakeTgi, raw: httpx2.Client, team: Team
) -> None:
    ledger.grant(team.pk, cost_nano(4), reason="for the tests", actor="tests")
    fox.script.overloaded = True
    assert ask(raw).status_code == 503
    fox.script.overloaded = False
    until(lambda: ask(raw).status_code == 200)
    assert (asked(owl), balance(team)) == ([], 0)


def test_a_model_that_cannot_do_what_is_asked_is_passed_over(
    engines: ExitStack, owl: FakeTgi, fox: FakeTgi, raw: httpx2.Client, funded: Team
) -> None:
    elk = engines.enter_context(FakeOpenAI())
    register(elk, Endpoint.Kind.OPENAI, model_id=ELK, upstream_model="org/model")
    stand_for("able", (MODEL, 100), (ELK, None))
    assert ask(raw, model="able", top_k=5).headers["parley-model"] == ELK
    neither = ask(raw, top_k=5)
    assert (neither.status_code, neither.json()["error"]["param"]) == (400, "top_k")


def test_every_protocol_takes_an_alias(owl: FakeTgi, raw: httpx2.Client, funded: Team) -> None:
    kept = raw.post("/v1/responses", json={"model": "fast", "input": "hi"})
    assert (kept.status_code, kept.headers["parley-model"], kept.json()["model"]) == (200, MODEL, MODEL)
    until(lambda: raw.get(f"/v1/responses/{kept.json()['id']}").json()["status"] == "completed")
    assert raw.get(f"/v1/responses/{kept.json()['id']}").json()["model"] == MODEL
    message = {"max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}
    for name in ("fast", "anthropic--fast"):
        told = raw.post("/v1/messages", json={"model": name} | message)
        assert (told.status_code, told.headers["parley-model"], told.json()["model"]) == (200, MODEL, MODEL)
        counted = raw.post("/v1/messages/count_tokens", json={"model": name} | message)
        assert counted.json()["input_tokens"] > 0


def test_plain_prompts_and_texts_to_be_read_take_an_alias(engines: ExitStack, raw: httpx2.Client, funded: Team) -> None:
    writer, reader = engines.enter_context(FakeContinuing()), engines.enter_context(FakeReader())
    register(writer, Endpoint.Kind.VLLM, model_id=ELK, upstream_model="org/model")
    register(reader, Endpoint.Kind.OPENAI, upstream_model="org/model", model_id=OWL)
    Model.objects.filter(pk=OWL).update(features=["embeddings", "rerank"])
    # Whichever of them is for what is asked answers.
    stand_for("all", (ELK, 1), (OWL, 1))
    asks: dict[str, tuple[str, dict[str, Any]]] = {
        "completions": (ELK, {"prompt": "The"}),
        "embeddings": (OWL, {"input": "hi"}),
        "rerank": (OWL, {"query": "fox", "documents": ["a fox"]}),
    }
    for path, (model_id, fields) in asks.items():
        answer = raw.post(f"/v1/{path}", json={"model": "all"} | fields)
        assert (path, answer.status_code) == (path, 200)
        assert (answer.headers["parley-model"], answer.json()["model"]) == (model_id, model_id)


def test_a_kept_answer_names_its_model_too(owl: FakeTgi, fox: FakeTgi, raw: httpx2.Client, funded: Team) -> None:
    raw.headers["idempotency-key"] = "once"
    first = ask(raw)
    the_run()
    fox.die()
    again = ask(raw)
    assert (again.headers["idempotent-replayed"], again.headers["parley-model"]) == ("true", MODEL)
    assert again.json() == first.json()
    assert Run.objects.count() == 1


def test_a_retired_model_answers_through_its_replacement_for_a_time(
    fox: FakeTgi, raw: httpx2.Client, funded: Team
) -> None:
    day = timezone.now().date()
    old = Model.objects.create(id="fable/old", name="Old", context_tokens=8, lifecycle="retired", replacement_id=MODEL)
    for until_day, status in ((None, 404), (day - timedelta(days=2), 404), (day + timedelta(days=1), 200)):
        Model.objects.filter(pk=old.pk).update(replaced_until=until_day)
        changes.touch(TOPIC)
        answer = ask(raw, model=old.pk)
        assert (until_day, answer.status_code) == (until_day, status)
    assert (answer.headers["parley-model"], answer.json()["model"]) == (MODEL, MODEL)
    assert the_run().model_id == MODEL


def test_the_list_of_models_has_aliases_with_what_can_be_counted_on(owl: FakeTgi, raw: httpx2.Client) -> None:
    Model.objects.filter(pk=OWL).update(context_tokens=100, features=[])
    stand_for("gone", ("no/such", 1))
    listed = {model["id"]: model for model in raw.get("/v1/models").json()["data"]}
    assert (list(listed), CONTEXT_TOKENS > 100) == ([MODEL, OWL, "fast"], True)
    assert listed[MODEL]["targets"] is None
    fast = listed["fast"]
    assert fast["targets"] == [{"model": MODEL, "weight": 1}, {"model": OWL, "weight": None}]
    assert (fast["context_length"], fast["modalities"], fast["features"]) == (100, ["text"], [])
    assert (fast["pricing"]["input"], fast["pricing"]["output"]) == ("2", "6")
    assert raw.get("/v1/models/fast").json() == fast
    for name in ("gone", "a%00b"):
        assert raw.get(f"/v1/models/{name}").status_code == 404
    raw.headers["anthropic-version"] = "2023-06-01"
    assert raw.get("/v1/models").json()["last_id"] == "anthropic--fast"
    assert raw.get("/v1/models/anthropic--fast").json()["max_input_tokens"] == 100
