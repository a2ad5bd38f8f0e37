"""Every request that held credits has a receipt, and it says what the ledger says."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from django.utils import timezone
from openai import OpenAI

from accounts.models import ApiKey, Project, Team, User
from credits import ledger
from credits.models import Entry
from inference.models import Endpoint, Price
from inference.runs import orphans
from inference.runs.receipts import find
from tests.api.scenes import Connect, Wire, body, charges, the_run
from tests.fakes.tgi import FakeTgi
from tests.inference.scenes import DOLLAR, MODEL, asked, cost_nano
from tests.inference.started_runs import run
from tests.patience import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.either_database]


def receipt_of(raw: httpx2.Client, name: str) -> dict[str, Any]:
    """Return the receipt of a run that ends within a second or two."""
    until(lambda: raw.get(f"/v1/receipts/{name}").status_code == 200)
    receipt: dict[str, Any] = raw.get(f"/v1/receipts/{name}").json()
    held, charged, released, lost = (receipt[each]["nano"] for each in ("held", "charged", "released", "lost"))
    assert (held, lost) == (charged + released, 0)
    entries = Entry.objects.filter(kind=Entry.Kind.CHARGE, run=receipt["id"].removeprefix("req_"))
    assert charged == -sum(entry.amount_nano for entry in entries)
    return receipt


def request_id(wire: Wire) -> str:
    """Return the ``x-request-id`` of the answer that a connection reads."""
    wire.read_until(b"\r\n\r\n")
    (header,) = [line for line in wire.received.split(b"\r\n") if line.startswith(b"x-request-id: ")]
    return header.removeprefix(b"x-request-id: ").decode()


def test_a_request_id_leads_to_a_receipt_that_agrees_with_usage_and_ledger(
    client: OpenAI, raw: httpx2.Client, tgi: FakeTgi, funded: Team
) -> None:
    answered = client.chat.completions.with_raw_response.create(**body(max_tokens=7))
    completion = answered.parse()
    name = answered.headers["x-request-id"]
    receipt: Any = client.get(f"/receipts/{name}", cast_to=object)
    assert completion.usage
    assert receipt["usage"] == completion.usage.model_dump(exclude_none=True)
    assert (receipt["id"], receipt["completion_id"]) == (name, completion.id)
    assert [receipt["charged"]["nano"]] == charges(funded) == [cost_nano(7)]
    assert receipt == receipt_of(raw, completion.id) == receipt_of(raw, name.removeprefix("req_"))


def test_a_receipt_tells_everything_about_its_run(raw: httpx2.Client, tgi: FakeTgi, funded: Team) -> None:
    name = raw.post("/v1/chat/completions", json=body(max_tokens=7)).headers["x-request-id"]
    receipt, row, price = receipt_of(raw, name), the_run(), Price.objects.get()
    moments = [datetime.fromisoformat(receipt.pop(each)) for each in ("started_at", "first_token_at", "ended_at")]
    assert moments == [row.started_at, row.first_token_at, row.ended_at]
    assert receipt.pop("first_token_seconds") == round((moments[1] - moments[0]).total_seconds(), 3)
    assert receipt.pop("tokens_per_second") > 0
    amounts = {each: receipt.pop(each) for each in ("held", "charged", "released", "lost")}
    assert amounts["held"]["nano"] == row.held_nano
    assert amounts["lost"] == {"nano": 0, "usd": "0"}
    assert amounts["charged"] == {"nano": cost_nano(7), "usd": f"{cost_nano(7) / DOLLAR:.9f}".rstrip("0")}
    starts_at = datetime.fromisoformat(receipt["price"].pop("starts_at"))
    assert starts_at == price.starts_at
    assert receipt == {
        "id": name,
        "object": "receipt",
        "status": "settled",
        "completion_id": f"chatcmpl-{row.pk}",
        "project": "acme/inference",
        "key": ApiKey.objects.get().pk,
        "model": MODEL,
        "endpoint_kind": "tgi",
        "streamed": False,
        "ending": "length",
        "ending_text": "token limit reached",
        "limited_by": None,
        "clamped_to": None,
        "error": None,
        "price": {
            "id": price.pk,
            "currency": "USD",
            "unit": "per_million_tokens",
            "input": "0.2",
            "output": "0.6",
            "cached_input": "0.1",
        },
        "usage": {
            "prompt_tokens": row.prompt_tokens,
            "completion_tokens": 7,
            "total_tokens": row.prompt_tokens + 7,
            "prompt_tokens_details": {"cached_tokens": 0},
        },
        "generated_tokens": 7,
        "delivered_tokens": 7,
        "counting": "engine",
    }


def test_a_stream_has_its_receipt_once_it_is_done(
    client: OpenAI, raw: httpx2.Client, tgi: FakeTgi, funded: Team
) -> None:
    options: Any = {"stream_options": {"include_usage": True}}
    answered = client.chat.completions.with_raw_response.create(**body(max_tokens=5, stream=True), **options)
    *_, last = answered.parse()
    assert last.usage
    response = raw.get(f"/v1/receipts/{answered.headers['x-request-id']}")
    assert (response.status_code, response.json()["streamed"]) == (200, True)
    assert response.json()["usage"] == last.usage.model_dump(exclude_none=True)


def test_a_cancelled_stream_has_a_receipt_of_what_was_delivered(
    connect: Connect, raw: httpx2.Client, tgi: FakeTgi, funded: Team
) -> None:
    tgi.script.silent_after = 3
    with connect(body(stream=True)) as wire:
        name = request_id(wire)
        wire.read_words(3)
    receipt = receipt_of(raw, name)
    assert (receipt["ending"], receipt["delivered_tokens"], receipt["counting"]) == ("disconnected", 3, "tokenizer")
    assert receipt["charged"]["nano"] == cost_nano(3)
    assert receipt["error"] is None


def test_a_failed_run_has_a_receipt_of_nothing(raw: httpx2.Client, tgi: FakeTgi, funded: Team) -> None:
    tgi.script.overloaded = True
    response = raw.post("/v1/chat/completions", json=body())
    receipt = receipt_of(raw, response.headers["x-request-id"])
    assert (receipt["ending"], receipt["error"]) == ("engine_error", response.json()["error"]["code"])
    assert receipt["charged"]["nano"] == 0
    assert receipt["released"] == receipt["held"]
    assert receipt["first_token_at"] is receipt["first_token_seconds"] is receipt["tokens_per_second"] is None


@pytest.mark.parametrize(("streamed", "error"), [(True, "insufficient_quota"), (False, None)])
def test_an_answer_that_ran_out_of_credits_says_so_in_its_receipt(
    raw: httpx2.Client, tgi: FakeTgi, team: Team, streamed: bool, error: str | None
) -> None:
    tgi.script.default_tokens = 1_000
    ledger.grant(team.pk, cost_nano(40), reason="for 40 tokens", actor="tests")
    response = raw.post("/v1/chat/completions", json=body(stream=streamed))
    receipt = receipt_of(raw, response.headers["x-request-id"])
    assert (receipt["ending"], receipt["ending_text"]) == ("out_of_credits", "credits ran out")
    assert receipt["limited_by"] == "the credits"
    assert (receipt["error"], receipt["delivered_tokens"], receipt["released"]["nano"]) == (error, 40, 0)
    assert charges(team) == [receipt["charged"]["nano"]] == [cost_nano(40)]


def test_a_run_whose_endpoint_is_gone_keeps_its_receipt(raw: httpx2.Client, tgi: FakeTgi, funded: Team) -> None:
    name = raw.post("/v1/chat/completions", json=body(max_tokens=1)).headers["x-request-id"]
    Endpoint.objects.all().delete()
    assert receipt_of(raw, name)["endpoint_kind"] is None


def test_a_replayed_answer_leads_to_the_receipt_of_the_run_that_was_paid_for(
    raw: httpx2.Client, tgi: FakeTgi, funded: Team
) -> None:
    headers = {"Idempotency-Key": "once"}
    first, again = (raw.post("/v1/chat/completions", json=body(max_tokens=2), headers=headers) for _ in range(2))
    assert first.json() == again.json()
    assert receipt_of(raw, again.json()["id"])["id"] == first.headers["x-request-id"]
    assert len(charges(funded)) == 1
    assert raw.get(f"/v1/receipts/{again.headers['x-request-id']}").status_code == 404


def test_a_request_that_was_refused_before_it_held_credits_has_no_receipt(
    raw: httpx2.Client, tgi: FakeTgi, team: Team
) -> None:
    refused = [raw.post("/v1/chat/completions", json=body(**fields)) for fields in ({}, {"temperature": 3})]
    assert [response.status_code for response in refused] == [402, 400]
    for response in refused:
        answer = raw.get(f"/v1/receipts/{response.headers['x-request-id']}")
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error["param"]) == (404, "receipt_not_found", None)
        assert "before it held credits" in error["message"]


def test_a_run_that_is_still_going_says_what_it_holds(
    connect: Connect, raw: httpx2.Client, tgi: FakeTgi, funded: Team
) -> None:
    tgi.script.silent_after = 1
    with connect(body(stream=True)) as wire:
        name = request_id(wire)
        response = raw.get(f"/v1/receipts/{name}")
        running = response.json()
    assert (response.status_code, response.headers["retry-after"]) == (202, "1")
    assert (running["id"], running["object"], running["status"]) == (name, "receipt", "in_progress")
    assert (running["project"], running["key"]) == ("acme/inference", ApiKey.objects.get().pk)
    assert running["held"]["nano"] > 0
    assert receipt_of(raw, name)["started_at"] <= running["started_at"]


@pytest.mark.parametrize("seconds", [60, 0.001])
def test_a_run_lost_with_its_process_says_that_it_cost_nothing(
    raw: httpx2.Client, project: Project, funded: Team, seconds: float
) -> None:
    run_id = uuid4().hex
    key = ApiKey.objects.get().pk
    asyncio.run(ledger.hold(funded.pk, 10, run=run_id, project=str(project.pk), key=key, seconds=seconds))
    if seconds == 60:
        assert raw.get(f"/v1/receipts/{run_id}").json()["status"] == "in_progress"
        # As the parent of the web processes does.
        assert orphans.expire(run_id[:8]) == 1
    until(lambda: raw.get(f"/v1/receipts/{run_id}").status_code == 200)
    receipt = raw.get(f"/v1/receipts/{run_id}").json()
    assert (receipt["id"], receipt["status"], receipt["key"]) == (f"req_{run_id}", "lost", key)
    assert [receipt[each]["nano"] for each in ("held", "charged", "released")] == [10, 0, 10]
    assert receipt["started_at"] <= receipt["ended_at"]
    # The ledger's next group expires what is overdue; the receipt stays as it was, but for the time.
    ledger.grant(funded.pk, 1, reason="more", actor="operator@example.org")
    assert raw.get(f"/v1/receipts/{run_id}").json() | {"ended_at": ""} == receipt | {"ended_at": ""}


def test_another_keys_lost_run_is_not_shown_to_a_member(
    raw: httpx2.Client, project: Project, member: User, funded: Team
) -> None:
    run_id = uuid4().hex
    asyncio.run(ledger.hold(funded.pk, 10, run=run_id, project=str(project.pk), key="another", seconds=60))
    orphans.expire(run_id[:8])
    assert raw.get(f"/v1/receipts/{run_id}").status_code == 404


def test_a_receipt_cannot_disagree_with_the_ledger(project: Project, member: User, funded: Team) -> None:
    async def overrun() -> None:
        hold = await ledger.hold(funded.pk, 10, run=row.pk, project=str(project.pk), key="", seconds=60)
        await ledger.settle(hold.id, DOLLAR + 5, price="1")

    row = run(project, member, id=uuid4().hex, held_nano=10, cost_nano=999)
    asyncio.run(overrun())
    receipt = find(project.runs.all(), row.pk)
    assert receipt
    assert (receipt.charged_nano, receipt.lost_nano, receipt.released_nano) == (DOLLAR, 5, 0)


def test_receipts_are_listed_the_newest_first_page_by_page(
    raw: httpx2.Client, project: Project, member: User, tgi: FakeTgi
) -> None:
    start = timezone.now() - timedelta(hours=1)
    # Some start in the same instant.
    made = [run(project, member, at=start + timedelta(seconds=index // 3)) for index in range(8)]
    newest_first = [f"req_{each.pk}" for each in sorted(made, key=lambda each: (each.started_at, each.pk))[::-1]]
    listed: list[str] = []
    while True:
        page = raw.get("/v1/receipts", params={"limit": 3} | ({"after": listed[-1]} if listed else {})).json()
        ids = [each["id"] for each in page["data"]]
        assert (page["object"], page["first_id"], page["last_id"]) == ("list", ids[0], ids[-1])
        listed += ids
        if not page["has_more"]:
            break
    assert listed == newest_first
    assert [each["id"] for each in raw.get("/v1/receipts").json()["data"]] == newest_first
    assert raw.get(f"/v1/receipts?after={newest_first[-1]}").json() == {
        "object": "list",
        "data": [],
        "first_id": None,
        "last_id": None,
        "has_more": False,
    }


def test_a_listed_receipt_is_the_receipt(raw: httpx2.Client, tgi: FakeTgi, funded: Team) -> None:
    names = [raw.post("/v1/chat/completions", json=body(max_tokens=2)).headers["x-request-id"] for _ in range(2)]
    assert raw.get("/v1/receipts").json()["data"] == [receipt_of(raw, name) for name in names[::-1]]


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=-1", "limit"),
        ("limit=1e1", "limit"),
        ("limit=", "limit"),
        ("limit=%D9%A1", "limit"),
        ("limit=" + "9" * 5_000, "limit"),
        ("limit=1&limit=2", "limit"),
        ("after=", "after"),
        ("after=req_x", "after"),
        ("after=%00", "after"),
        (f"after=req_{'0' * 32}", "after"),
        ("before=x", "before"),
        ("%00=1", "\0"),
    ],
)
def test_a_wrong_parameter_is_named(raw: httpx2.Client, query: str, param: str) -> None:
    response = raw.get(f"/v1/receipts?{query}")
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["param"]) == (400, "invalid_parameter", param)
    assert raw.get(f"/v1/receipts/{'0' * 32}?limit=1").json()["error"]["param"] == "limit"


def test_a_name_that_no_run_has_is_not_found(raw: httpx2.Client, project: Project, member: User) -> None:
    row = run(project, member, id="ab" * 16)
    assert raw.get(f"/v1/receipts/req_{row.pk}").status_code == 200
    for name in (
        f"req_{row.pk.upper()}",
        f"REQ_{row.pk}",
        f"req_req_{row.pk}",
        f"req-{row.pk}",
        f"{row.pk}0",
        row.pk[:-1],
        f"{row.pk}%00",
        f"%20{row.pk}",
        f"{row.pk}%0A",
        "%F0%28%8C%28",
        "%D9%A1" * 32,
        "x" * 5_000,
    ):
        response = raw.get(f"/v1/receipts/{name}")
        assert (response.status_code, response.json()["error"]["code"]) == (404, "receipt_not_found"), name


def test_the_times_are_in_utc(raw: httpx2.Client, project: Project, member: User) -> None:
    row = run(project, member, at=datetime(2026, 1, 31, 23, 59, 59, 123456, UTC))
    assert raw.get(f"/v1/receipts/{row.pk}").json()["started_at"] == "2026-01-31T23:59:59.123456Z"


def test_asking_for_a_receipt_asks_no_engine(raw: httpx2.Client, tgi: FakeTgi, project: Project, member: User) -> None:
    row = run(project, member)
    assert raw.get(f"/v1/receipts/{row.pk}").status_code == 200
    assert not asked(tgi)
