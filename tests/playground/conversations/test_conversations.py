import json
from typing import Any

import pytest

from playground import limits
from playground.conversations.requests import EXAMPLE_PROMPT, encode
from playground.models import Conversation, Message
from tests.fakes.tgi import FakeTgi
from tests.playground.cast import MODEL, PROJECT, Cast, browser, conversation_of, say
from web.chat import parse

BASE = "/playground/conversations"


def answered(conversation: Conversation) -> Message:
    """Add a question and its answer."""
    settings = {"model": MODEL, "system_prompt": "Be brief.", "parameters": {"temperature": 0.5}}
    say(conversation, "user", "Hello")
    return say(conversation, "assistant", "Hi", run="0" * 32, asked_with=settings)


def patch(cast: Cast, conversation: Conversation, **changes: Any) -> Any:
    client = browser(cast.member)
    return client.patch(f"{BASE}/{conversation.pk}", json.dumps(changes), content_type="application/json")


def test_a_conversation_is_begun_listed_and_found_again(cast: Cast) -> None:
    client = browser(cast.member)
    begun = client.post(BASE, {"project": PROJECT, "model": MODEL}, content_type="application/json")
    assert begun.status_code == 201
    found = client.get(f"{BASE}/{begun.json()['id']}").json()
    assert found == begun.json()
    assert found["messages"] == []
    assert found["running"] is None
    (listed,) = client.get(BASE, {"project": PROJECT}).json()["conversations"]
    assert listed["id"] == found["id"]


def test_settings_and_draft_survive(cast: Cast) -> None:
    conversation = conversation_of(cast.member)
    parameters = {"stop": ["END"], "temperature": 0, "max_tokens": None}
    changes = {"parameters": parameters, "draft": "half a th", "system_prompt": "Be brief.", "title": "Foxes"}
    assert patch(cast, conversation, **changes).status_code == 204
    found = browser(cast.member).get(f"{BASE}/{conversation.pk}").json()
    assert found["parameters"] == {"temperature": 0, "stop": ["END"]}
    assert (found["draft"], found["system_prompt"], found["title"]) == ("half a th", "Be brief.", "Foxes")


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"parameters": {"temperature": 3}}, "temperature"),
        ({"parameters": {"temperature": "hot"}}, "temperature"),
        ({"parameters": {"messages": []}}, "messages"),
        ({"parameters": {"no_such_parameter": {}}}, "no_such_parameter"),
        ({"parameters": {"logit_bias": {"1": 1000}}}, "logit_bias[...]"),
        ({"parameters": {"stop": ["\0"]}}, "parameters"),
        ({"parameters": {"stop": ["x" * limits.MAX_PARAMETERS_BYTES]}}, "parameters"),
        ({"parameters": []}, None),
        ({"draft": "x" * (limits.MAX_DRAFT_CHARACTERS + 1)}, None),
        ({"title": "x" * (limits.MAX_TITLE_CHARACTERS + 1)}, None),
        ({"user": 1}, None),
        ({"model": ""}, None),
    ],
)
def test_a_wrong_setting_is_refused_by_name(cast: Cast, changes: dict[str, Any], param: str | None) -> None:
    conversation = conversation_of(cast.member)
    refused = patch(cast, conversation, **changes)
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == param
    assert refused.json()["error"]["doc_url"].endswith("/docs/errors#invalid_parameter")


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"null", b"[" * 100_000, b'{"draft": "\\ud800"}', b'"text"'])
def test_a_malformed_body_is_refused(cast: Cast, body: bytes) -> None:
    conversation = conversation_of(cast.member)
    client = browser(cast.member)
    refused = client.patch(f"{BASE}/{conversation.pk}", body, content_type="application/json")
    assert refused.status_code == 400
    assert refused.json()["error"]["type"] == "invalid_request_error"


def test_deeply_nested_parameters_are_refused(cast: Cast) -> None:
    conversation = conversation_of(cast.member)
    schema: dict[str, Any] = {}
    for _ in range(limits.MAX_PARAMETERS_DEPTH):
        schema = {"not": schema}
    nested = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    assert patch(cast, conversation, parameters={"response_format": nested}).status_code == 400


def test_a_null_character_is_left_out(cast: Cast) -> None:
    conversation = conversation_of(cast.member)
    patch(cast, conversation, draft="a\0b")
    conversation.refresh_from_db()
    assert conversation.draft == "ab"


def test_deleting_a_message_deletes_all_after_it(cast: Cast) -> None:
    conversation = conversation_of(cast.member)
    answer = answered(conversation)
    assert browser(cast.member).delete(f"{BASE}/{conversation.pk}/messages/{answer.pk}").status_code == 204
    assert [message.content for message in conversation.messages.all()] == ["Hello"]


def test_clearing_keeps_settings_and_draft(cast: Cast) -> None:
    conversation = conversation_of(cast.member, draft="next", parameters={"seed": 1})
    answered(conversation)
    cleared = browser(cast.member).post(f"{BASE}/{conversation.pk}/clear").json()
    assert (cleared["messages"], cleared["draft"], cleared["parameters"]) == ([], "next", {"seed": 1})


@pytest.mark.parametrize(("title", "left"), [("Hello", ""), ("Foxes", "Foxes")])
@pytest.mark.parametrize("way", ["clear", "delete"])
def test_a_title_goes_with_the_message_that_it_was_taken_from(cast: Cast, way: str, title: str, left: str) -> None:
    conversation = conversation_of(cast.member, title=title)
    answered(conversation)
    if way == "clear":
        browser(cast.member).post(f"{BASE}/{conversation.pk}/clear")
    else:
        first = conversation.messages.get(position=0)
        browser(cast.member).delete(f"{BASE}/{conversation.pk}/messages/{first.pk}")
    conversation.refresh_from_db()
    assert conversation.title == left


def test_a_title_stays_while_its_message_does(cast: Cast) -> None:
    conversation = conversation_of(cast.member, title="Hello")
    answer = answered(conversation)
    browser(cast.member).delete(f"{BASE}/{conversation.pk}/messages/{answer.pk}")
    conversation.refresh_from_db()
    assert conversation.title == "Hello"


def test_a_deleted_conversation_is_gone(cast: Cast) -> None:
    conversation = conversation_of(cast.member)
    answered(conversation)
    assert browser(cast.member).delete(f"{BASE}/{conversation.pk}").status_code == 204
    assert not Message.objects.exists()


def test_the_number_of_conversations_is_bounded(cast: Cast) -> None:
    one = conversation_of(cast.member)
    rows = [
        Conversation(user=cast.member, project=one.project, model=MODEL)
        for _ in range(limits.MAX_CONVERSATIONS_PER_USER - 1)
    ]
    Conversation.objects.bulk_create(rows)
    client = browser(cast.member)
    refused = client.post(BASE, {"project": PROJECT, "model": MODEL}, content_type="application/json")
    assert refused.status_code == 422
    assert refused.json()["error"]["code"] == "limit_reached"
    assert len(client.get(BASE, {"project": PROJECT}).json()["conversations"]) == limits.MAX_CONVERSATIONS_LISTED


def test_the_code_of_the_next_request_contains_the_draft(cast: Cast) -> None:
    conversation = conversation_of(cast.member, system_prompt="Be brief.", draft="And now?", parameters={"seed": 7})
    answered(conversation)
    shown = browser(cast.member).get(f"{BASE}/{conversation.pk}/code").json()
    assert shown["request"]["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi"},
        {"role": "user", "content": "And now?"},
    ]
    assert list(shown["request"]) == ["model", "messages", "seed", "stream", "stream_options"]
    assert {"curl", "python", "javascript"} < shown.keys()


def test_the_code_of_an_empty_conversation_is_an_example_that_can_be_sent(cast: Cast) -> None:
    conversation = conversation_of(cast.member, system_prompt="Be brief.")
    shown = browser(cast.member).get(f"{BASE}/{conversation.pk}/code").json()
    assert shown["request"]["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": EXAMPLE_PROMPT},
    ]


@pytest.mark.parametrize(("draft", "said"), [("", EXAMPLE_PROMPT), ("And now?", "And now?")])
def test_code_is_shown_without_beginning_a_conversation(cast: Cast, draft: str, said: str) -> None:
    shown = {"project": PROJECT, "model": MODEL, "system_prompt": "", "draft": draft, "parameters": {"seed": 7}}
    code = browser(cast.member).post("/playground/code", shown, content_type="application/json").json()
    assert code["request"]["messages"] == [{"role": "user", "content": said}]
    assert parse(encode(code["request"])).seed == 7
    assert PROJECT in code["curl"]
    assert not Conversation.objects.exists()


def test_the_code_of_an_answer_is_the_request_that_made_it(cast: Cast) -> None:
    conversation = conversation_of(cast.member, system_prompt="Since then changed.", parameters={"seed": 7})
    answer = answered(conversation)
    shown = browser(cast.member).get(f"{BASE}/{conversation.pk}/code", {"message": str(answer.pk)}).json()
    assert shown["request"]["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello"},
    ]
    assert shown["request"]["temperature"] == 0.5
    assert parse(encode(shown["request"])).temperature == 0.5


@pytest.mark.parametrize("asked", ["", "x", "00000000-0000-0000-0000-000000000000", "'; --"])
def test_the_code_of_no_answer_is_not_found(cast: Cast, asked: str) -> None:
    conversation = conversation_of(cast.member)
    assert browser(cast.member).get(f"{BASE}/{conversation.pk}/code", {"message": asked}).status_code == 404


def test_an_answer_whose_process_was_killed_is_shown_as_stopped(cast: Cast) -> None:
    conversation = conversation_of(cast.member)
    answered(conversation)
    conversation.messages.filter(position=1).update(state="running", content="")
    found = browser(cast.member).get(f"{BASE}/{conversation.pk}").json()
    assert found["running"] is None
    assert found["messages"][1]["state"] == "stopped"


def test_the_balance_is_told_in_strings_of_nano_credits(cast: Cast) -> None:
    balance = browser(cast.viewer).get("/playground/balance", {"project": PROJECT}).json()
    assert balance == {
        "project": PROJECT,
        "balance_nano": "10000000000",
        "held_nano": "0",
        "available_nano": "10000000000",
    }


def test_the_pages_show_models_and_state(cast: Cast, tgi: FakeTgi) -> None:
    client = browser(cast.member)
    conversation = conversation_of(cast.member, title="</script><b>")
    assert MODEL in client.get("/").content.decode()
    page = client.get(f"/models/{MODEL}")
    assert (page.status_code, page.context["model"]["price"]["input"]) == (200, "0.22")
    assert client.get("/models/no/such").status_code == 404
    chat = client.get("/playground", {"conversation": str(conversation.pk)})
    assert "</script><b>" not in chat.content.decode()
    state = chat.context["state"]
    assert state["conversation"]["id"] == str(conversation.pk)
    assert (state["project"], state["models"][0]["id"]) == (PROJECT, MODEL)
    assert state["projects"] == [{"path": PROJECT, "role": "member", "can_call": True}]
