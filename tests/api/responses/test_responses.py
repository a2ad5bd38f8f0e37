"""The official client asks for responses: whole, streamed, stored, in the background, and taken up again."""

import json
import threading
from typing import Any

import httpx2
import openai
import pytest
from openai import OpenAI
from pytest_django.fixtures import Settings

from accounts import keys
from accounts.models import Team, User
from inference.models import Run
from tests.api.scenes import balance, the_run
from tests.fakes.tgi import FakeTgi
from tests.inference.scenes import DOLLAR, MODEL, asked, cost_nano
from tests.patience import until

pytestmark = pytest.mark.django_db(transaction=True)

SAID = "The quick brown fox jumps over the lazy dog."


def fields(**more: Any) -> dict[str, Any]:
    return {"model": MODEL, "instructions": "Be brief.", "input": "Who jumps?"} | more


def events(text: str) -> list[dict[str, Any]]:
    *framed, rest = text.split("\n\n")
    assert rest == ""
    return [json.loads(event.split("\n")[1].removeprefix("data: ")) for event in framed]


def test_a_response_is_answered_and_paid_for(client: OpenAI, tgi: FakeTgi, funded: Team) -> None:
    answer = client.responses.with_raw_response.create(**fields())
    response = answer.parse()
    assert response.output_text == SAID
    assert (response.status, response.object, response.model) == ("completed", "response", MODEL)
    assert response.id == f"resp_{answer.headers['x-request-id'].removeprefix('req_')}"
    run = the_run()
    assert response.usage
    assert (response.usage.input_tokens, response.usage.output_tokens) == (run.prompt_tokens, run.delivered_tokens)
    assert DOLLAR - balance(funded) == run.cost_nano == cost_nano(run.delivered_tokens)
    assert asked(tgi)[0].json["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Who jumps?"},
    ]
    assert client.get(f"/receipts/{response.id}", cast_to=httpx2.Response).status_code == 200


def test_a_streamed_response_is_built_by_the_client(client: OpenAI, tgi: FakeTgi, funded: Team) -> None:
    with client.responses.stream(**fields()) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert final.output_text == SAID
    assert final.usage
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds[-1] == "response.completed"
    assert kinds.count("response.output_text.delta") >= 9


def test_a_response_calls_tools_and_goes_on_with_what_they_gave(client: OpenAI, tgi: FakeTgi, funded: Team) -> None:
    tool = {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}}
    tgi.script.tool_call = ("weather", ['{"city":', '"Paris"}'])
    first = client.responses.create(**fields(tools=[tool]))
    (call,) = first.output
    assert (call.type, call.name, call.arguments) == ("function_call", "weather", '{"city":"Paris"}')
    tgi.script.tool_call = None
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "rain"}
    second = client.responses.create(**fields(tools=[tool], previous_response_id=first.id, input=[result]))
    assert second.output_text == SAID
    turns = [(turn["role"], turn.get("content")) for turn in asked(tgi)[1].json["messages"]]
    assert turns == [("system", "Be brief."), ("user", "Who jumps?"), ("assistant", None), ("tool", "rain")]


def test_a_conversation_goes_on_by_the_id_of_its_last_response(client: OpenAI, tgi: FakeTgi, funded: Team) -> None:
    last = ""
    for number in range(3):
        more: dict[str, Any] = {"previous_response_id": last} if last else {}
        last = client.responses.create(**fields(input=f"turn {number}", **more)).id
    said = [turn["content"] for turn in asked(tgi)[2].json["messages"]]
    assert said == ["Be brief.", "turn 0", SAID, "turn 1", SAID, "turn 2"]
    assert client.responses.retrieve(last).previous_response_id


def test_an_item_may_be_sent_as_a_reference(client: OpenAI, tgi: FakeTgi, funded: Team) -> None:
    first = client.responses.create(**fields())
    reference: Any = {"type": "item_reference", "id": first.output[0].id}
    client.responses.create(
        **fields(input=[{"role": "user", "content": "a"}, reference, {"role": "user", "content": "b"}])
    )
    assert [turn["content"] for turn in asked(tgi)[1].json["messages"]] == ["Be brief.", "a", SAID, "b"]
    with pytest.raises(openai.BadRequestError) as raised:
        client.responses.create(**fields(input=[reference | {"id": "msg_" + "0" * 32 + "_0"}]))
    assert raised.value.param == "input[0].id"


def test_a_stored_response_is_had_again_and_deleted(client: OpenAI, tgi: FakeTgi, funded: Team) -> None:
    response = client.responses.create(**fields())
    again = client.responses.retrieve(response.id)
    assert again.to_dict() == response.to_dict()
    (item,) = client.responses.input_items.list(response.id).data
    assert item.to_dict()["content"] == [{"type": "input_text", "text": "Who jumps?"}]
    client.responses.delete(response.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(response.id)
    with pytest.raises(openai.BadRequestError) as raised:
        client.responses.create(**fields(previous_response_id=response.id))
    assert raised.value.param == "previous_response_id"


def test_what_is_not_to_be_stored_is_not(client: OpenAI, tgi: FakeTgi, funded: Team) -> None:
    response = client.responses.create(**fields(store=False))
    assert response.output_text == SAID
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(response.id)


def test_nobody_else_sees_a_response(client: OpenAI, tgi: FakeTgi, funded: Team, owner: User, member: User) -> None:
    project = funded.projects.get()
    response = client.responses.create(**fields())
    own = keys.create(name="another", issuer=member, team=funded, project=project)[1]
    others = keys.create(name="other", issuer=owner, team=funded, project=project)[1]
    assert client.with_options(api_key=own).responses.retrieve(response.id).id == response.id
    for call in (
        lambda other: other.responses.retrieve(response.id),
        lambda other: other.responses.delete(response.id),
        lambda other: other.responses.cancel(response.id),
        lambda other: other.responses.input_items.list(response.id),
    ):
        with pytest.raises(openai.NotFoundError):
            call(client.with_options(api_key=others))


def test_a_response_in_the_background_is_found_when_it_is_done(client: OpenAI, tgi: FakeTgi, funded: Team) -> None:
    tgi.script.let_go, tgi.script.silent_after = threading.Event(), 3
    begun = client.responses.create(**fields(background=True))
    assert begun.status == "queued"
    until(lambda: client.responses.retrieve(begun.id).status == "in_progress")
    tgi.script.let_go.set()
    until(lambda: client.responses.retrieve(begun.id).status == "completed")
    assert client.responses.retrieve(begun.id).output_text == SAID
    assert the_run().cost_nano == DOLLAR - balance(funded)


def test_a_response_in_the_background_is_cancelled(client: OpenAI, tgi: FakeTgi, funded: Team) -> None:
    tgi.script.silent_after = 3
    begun = client.responses.create(**fields(background=True))
    until(lambda: client.responses.retrieve(begun.id).output_text.startswith("The quick"))
    cancelled = client.responses.cancel(begun.id)
    assert cancelled.status == client.responses.retrieve(begun.id).status == "cancelled"
    assert cancelled.output_text.startswith("The quick")
    assert the_run().ending == Run.Ending.STOPPED
    tgi.script.silent_after = None
    other = client.responses.create(**fields())
    with pytest.raises(openai.BadRequestError):
        client.responses.cancel(other.id)


def test_a_failure_in_the_background_is_told_later(client: OpenAI, tgi: FakeTgi) -> None:
    begun = client.responses.create(**fields(background=True))
    until(lambda: client.responses.retrieve(begun.id).status == "failed")
    error = client.responses.retrieve(begun.id).error
    assert error
    assert error.to_dict()["code"] == "insufficient_quota"


def test_a_stream_that_was_dropped_twenty_times_is_the_same_to_the_byte(
    raw: httpx2.Client, tgi: FakeTgi, funded: Team
) -> None:
    tgi.script.answer = [f" word{number}" for number in range(60)]
    tgi.script.between = 0.01
    received, response_id = b"", ""
    for drop in range(21):
        if drop == 0:
            request = raw.build_request("POST", "/v1/responses", json=fields(stream=True))
        else:
            after = json.loads(received.rstrip().rsplit(b"data: ", 1)[1])["sequence_number"]
            request = raw.build_request("GET", f"/v1/responses/{response_id}?stream=true&starting_after={after}")
        answer = raw.send(request, stream=True)
        assert answer.status_code == 200
        for got, piece in enumerate(answer.iter_raw(), start=1):
            received += piece
            if drop < 20 and got == 1:
                break
        answer.close()
        # What was cut in the middle of an event is asked for again.
        received = received[: received.rindex(b"\n\n") + 2]
        response_id = json.loads(received.split(b"\n")[1].removeprefix(b"data: "))["response"]["id"]
    found = events(received.decode())
    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    again = raw.get(f"/v1/responses/{response_id}?stream=true").content
    assert received == again
    assert found[-1]["response"]["output"][0]["content"][0]["text"] == "".join(tgi.script.answer)
    assert len(asked(tgi)) == 1
    assert Run.objects.count() == 1


def test_errors_before_the_first_event_are_true_statuses(
    client: OpenAI, raw: httpx2.Client, tgi: FakeTgi, settings: Settings
) -> None:
    with pytest.raises(openai.APIStatusError) as raised:
        client.responses.create(**fields(stream=True))
    assert (raised.value.status_code, raised.value.code) == (402, "insufficient_quota")
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(**fields(temperature=3))
    assert refused.value.param == "temperature"
    for path in ("/v1/responses/nonsense", "/v1/responses/resp_" + "0" * 32):
        assert raw.get(path).status_code == 404
    assert raw.get("/v1/responses").status_code == 405


def test_an_engine_that_has_too_much_to_do_is_told_in_openais_code(
    raw: httpx2.Client, tgi: FakeTgi, funded: Team
) -> None:
    tgi.script.overloaded = True
    response = raw.post("/v1/responses", json=fields(stream=True))
    assert (response.status_code, response.json()["error"]["code"]) == (503, "server_is_overloaded")


@pytest.mark.parametrize("code", ["insufficient_quota", "context_length_exceeded"])
def test_codex_is_told_in_the_stream_what_it_looks_for_there(
    raw: httpx2.Client, tgi: FakeTgi, team: Team, request: pytest.FixtureRequest, code: str
) -> None:
    if code == "context_length_exceeded":
        request.getfixturevalue("funded")
    body = fields(stream=True, max_output_tokens=4090, store=False)
    response = raw.post("/v1/responses", json=body, headers={"originator": "codex_cli_rs"})
    assert response.status_code == 200
    found = events(response.text)
    assert [event["type"] for event in found] == ["response.created", "response.in_progress", "response.failed"]
    assert found[-1]["response"]["error"]["code"] == code


def test_a_failure_in_the_middle_of_a_stream_is_told_in_it(raw: httpx2.Client, tgi: FakeTgi, funded: Team) -> None:
    tgi.script.fail_after = 4
    found = events(raw.post("/v1/responses", json=fields(stream=True)).text)
    assert found[-1]["type"] == "response.failed"
    assert found[-1]["response"]["output"][0]["content"][0]["text"] == "The quick brown fox"


def test_the_tokens_of_a_prompt_are_counted(raw: httpx2.Client, tgi: FakeTgi, funded: Team) -> None:
    counted = raw.post("/v1/responses/input_tokens", json=fields()).json()
    raw.post("/v1/responses", json=fields())
    assert counted == {"object": "response.input_tokens", "input_tokens": the_run().prompt_tokens}


def test_an_idempotency_key_stands_for_one_response(client: OpenAI, tgi: FakeTgi, funded: Team) -> None:
    headers = {"Idempotency-Key": "once"}
    first, second = (client.responses.create(**fields(), extra_headers=headers) for _ in range(2))
    assert first.id == second.id
    assert first.to_dict() == second.to_dict() == client.responses.retrieve(first.id).to_dict()
    assert len(asked(tgi)) == 1
