"""Turns in any role, pictures, and conversations side by side."""

import base64
from typing import Any

import pytest

from playground import limits
from playground.models import Conversation, Image
from tests.playground.cast import PROJECT, Cast, browser, conversation_of, say
from tests.playground.conversations.test_branches import texts

BASE = "/playground/conversations"
PIXEL = b"\x89PNG\r\n\x1a\n" + b"\0" * 20
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Seoul"}'}}


def post(cast: Cast, conversation: Conversation, action: str, **body: Any) -> Any:
    client = browser(cast.member)
    return client.post(f"{BASE}/{conversation.pk}/{action}", body, content_type="application/json")


def code(cast: Cast, conversation: Conversation, **query: Any) -> Any:
    return browser(cast.member).get(f"{BASE}/{conversation.pk}/code", query).json()["request"]


def data_url(content: bytes = PIXEL, media_type: str = "image/png") -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def picture(cast: Cast, conversation: Conversation) -> str:
    kept = post(cast, conversation, "images", url=data_url(), name="fox.png")
    assert kept.status_code == 201
    found: str = kept.json()["id"]
    return found


def test_turns_of_every_role_are_added_without_asking_and_sent_as_they_are(cast: Cast) -> None:
    conversation = conversation_of(cast.member)
    for turn in (
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "What is the weather?"},
        {"role": "assistant", "tool_calls": [CALL]},
        {"role": "tool", "content": "rain", "tool_call_id": "call_1"},
        {"role": "tool", "content": "", "tool_call_id": "call_2"},
        {"role": "assistant", "content": "It rains."},
    ):
        assert post(cast, conversation, "messages", **turn).status_code == 201
    assert code(cast, conversation)["messages"] == [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "What is the weather?"},
        {"role": "assistant", "tool_calls": [CALL]},
        {"role": "tool", "content": "rain", "tool_call_id": "call_1"},
        {"role": "tool", "content": "", "tool_call_id": "call_2"},
        {"role": "assistant", "content": "It rains."},
    ]


@pytest.mark.parametrize("turn", [{"role": "user"}, {"role": "tool", "content": "x"}, {"role": "king", "content": "x"}])
def test_a_turn_that_says_nothing_is_refused(cast: Cast, turn: dict[str, Any]) -> None:
    conversation = conversation_of(cast.member)
    assert post(cast, conversation, "messages", **turn).status_code == 400


def test_a_turn_written_anew_keeps_what_follows_and_the_one_before_stays_beside_it(cast: Cast) -> None:
    conversation = conversation_of(cast.member)
    say(conversation, "user", "Q")
    answer = say(conversation, "assistant", "A wrong answer")
    say(conversation, "user", "And?")
    page = post(
        cast, conversation, "messages", role="assistant", content="A right answer", replaces=str(answer.pk)
    ).json()
    assert texts(page) == ["Q", "A right answer", "And?"]
    assert page["messages"][1]["versions"][0] == str(answer.pk)
    before = post(cast, conversation, "branch", message=str(answer.pk)).json()
    assert texts(before) == ["Q", "A wrong answer", "And?"]


def test_a_picture_is_kept_shown_and_sent_as_it_came(cast: Cast) -> None:
    conversation = conversation_of(cast.member)
    pk = picture(cast, conversation)
    shown = browser(cast.member).get(f"/playground/images/{pk}")
    assert (shown.content, shown["Content-Type"], shown["X-Content-Type-Options"]) == (PIXEL, "image/png", "nosniff")
    assert browser(cast.owner).get(f"/playground/images/{pk}").status_code == 404
    assert code(cast, conversation, image=pk)["messages"][0]["content"] == [
        {"type": "image_url", "image_url": {"url": data_url()}}
    ]
    page = post(cast, conversation, "messages", role="user", content="Look", images=[pk]).json()
    assert page["messages"][0]["images"] == [pk]
    assert code(cast, conversation)["messages"][0]["content"] == [
        {"type": "image_url", "image_url": {"url": data_url()}},
        {"type": "text", "text": "Look"},
    ]


def test_a_picture_of_another_conversation_is_not_found(cast: Cast) -> None:
    pk = picture(cast, conversation_of(cast.member))
    elsewhere = conversation_of(cast.member)
    assert post(cast, elsewhere, "messages", role="user", content="Look", images=[pk]).status_code == 404


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/x.png",
        "data:text/html;base64,PGI+",
        "data:image/svg+xml;base64,PHN2Zy8+",
        data_url(b"<svg onload=alert(1)>"),
        data_url(b"GIF89a", "image/png"),
        "data:image/png;base64,!!!!",
        data_url(PIXEL + b"\0" * limits.MAX_IMAGE_BYTES),
    ],
)
def test_what_is_no_picture_is_refused(cast: Cast, url: str) -> None:
    refused = post(cast, conversation_of(cast.member), "images", url=url)
    assert refused.status_code in (400, 413, 422)
    assert not Image.objects.exists()


def test_columns_begin_with_the_same_turns_and_go_their_own_ways(cast: Cast) -> None:
    conversation = conversation_of(cast.member, title="Q", system_prompt="Be brief.", parameters={"seed": 1})
    pk = picture(cast, conversation)
    say(conversation, "user", "Q", images=[pk])
    say(conversation, "assistant", "A", summary={"run": "0" * 32, "request_id": "req", "ending": "stop"})
    columns = post(cast, conversation, "columns", models=["other/model", "third/model"]).json()["columns"]
    assert [column["model"] for column in columns] == [conversation.model, "other/model", "third/model"]
    assert all(texts(column) == ["Q", "A"] for column in columns)
    assert columns[1]["messages"][1]["run"]["ending"] == "stop"
    ids = [column["id"] for column in columns]
    assert ids[0] == str(conversation.pk)
    assert all(column["columns"] == ids for column in columns)
    # The copy has a picture of its own.
    copied = columns[1]["messages"][0]["images"][0]
    assert copied != pk
    assert browser(cast.member).get(f"/playground/images/{copied}").content == PIXEL
    listed = browser(cast.member).get(BASE, {"project": PROJECT}).json()["conversations"]
    assert [(item["id"], item["has_columns"]) for item in listed] == [(ids[0], True)]


def test_one_column_goes_on_alone_and_the_others_stay(cast: Cast) -> None:
    conversation = conversation_of(cast.member)
    columns = post(cast, conversation, "columns", models=["a/b", "c/d"]).json()["columns"]
    ids = [column["id"] for column in columns]
    alone = browser(cast.member).delete(f"{BASE}/{ids[1]}/columns").json()
    assert alone["columns"] == [ids[1]]
    left = browser(cast.member).get(f"{BASE}/{ids[0]}/columns").json()["columns"]
    assert [column["id"] for column in left] == [ids[0], ids[2]]
    listed = browser(cast.member).get(BASE, {"project": PROJECT}).json()["conversations"]
    assert {item["id"]: item["has_columns"] for item in listed} == {ids[0]: True, ids[1]: False}


def test_when_the_first_column_is_deleted_the_next_is_listed(cast: Cast) -> None:
    conversation = conversation_of(cast.member)
    columns = post(cast, conversation, "columns", models=["a/b"]).json()["columns"]
    browser(cast.member).delete(f"{BASE}/{conversation.pk}")
    listed = browser(cast.member).get(BASE, {"project": PROJECT}).json()["conversations"]
    assert [(item["id"], item["has_columns"]) for item in listed] == [(columns[1]["id"], False)]


def test_columns_are_deleted_and_brought_back_together(cast: Cast) -> None:
    conversation = conversation_of(cast.member)
    say(conversation, "user", "Q")
    ids = [column["id"] for column in post(cast, conversation, "columns", models=["a/b"]).json()["columns"]]
    gone = browser(cast.member).delete(f"{BASE}/{ids[0]}?columns=all")
    assert not Conversation.objects.exists()
    back = post(cast, conversation, "restore", deletion=gone["Parley-Deletion"]).json()
    assert back["columns"] == ids
    shown = browser(cast.member).get(f"{BASE}/{ids[1]}/columns").json()["columns"]
    assert [texts(column) for column in shown] == [["Q"], ["Q"]]


def test_more_columns_than_fit_are_refused(cast: Cast) -> None:
    conversation = conversation_of(cast.member)
    assert post(cast, conversation, "columns", models=["a/b"] * (limits.MAX_COLUMNS - 1)).status_code == 201
    assert post(cast, conversation, "columns", models=["a/b"]).json()["error"]["code"] == "limit_reached"


def test_every_parameter_of_a_request_can_be_set_and_is_checked_as_it_is_typed(cast: Cast) -> None:
    client = browser(cast.member)
    tools = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
    for parameters, param in (
        ({"tools": tools, "tool_choice": "auto", "logprobs": True, "top_logprobs": 2, "top_k": 5}, None),
        ({"tools": [{"type": "function", "function": {"name": "not a name"}}]}, "tools[0].function.name"),
        ({"tool_choice": "auto"}, "tool_choice"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {}}}},
            "response_format.json_schema.name",
        ),
        ({"messages": []}, "messages"),
        ({"n": 2}, "n"),
    ):
        told = client.post("/playground/parameters", parameters, content_type="application/json").json()
        assert (told["error"] and told["error"]["param"]) == param, parameters
