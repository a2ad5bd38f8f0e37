"""A conversation goes out as a file and comes back as a new one, whole and harmless."""

import json
from typing import Any

import pytest

from playground import limits
from playground.conversations import claims
from playground.models import Conversation, Message
from tests.console.downloads import fetch
from tests.playground.cast import MODEL, PROJECT, Cast, browser, conversation_of, page_of, say

pytestmark = [pytest.mark.django_db, pytest.mark.either_database]

BASE = "/playground/conversations"
# A picture of one point.
POINT = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PICTURE = f"data:image/png;base64,{POINT}"
CALL = {"id": "call_0", "type": "function", "function": {"name": "look", "arguments": "{}"}}
SETTINGS = {"model": MODEL, "system_prompt": "Be brief.", "parameters": {"temperature": 0.5}}


def exported(cast: Cast, conversation: Conversation, kind: str = "json") -> str:
    """Return the file as a browser gets it."""
    response, text = fetch(cast.member, f"{BASE}/{conversation.pk}/export?as={kind}")
    assert response["Content-Disposition"].startswith("attachment")
    return text


def imported(cast: Cast, file: Any) -> Any:
    """Return what a browser is told that brings a file."""
    body = file if isinstance(file, str) else json.dumps(file)
    return browser(cast.member).post(f"{BASE}/import?project={PROJECT}", body, content_type="application/json")


def file_of(*turns: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return a file with turns."""
    return {"format": "parley-conversation", "version": 1, "model": MODEL, "turns": list(turns), **more}


@pytest.fixture
def branched(cast: Cast) -> Conversation:
    """A conversation with two answers to one question, a picture, a tool call, its result and settings."""
    conversation = conversation_of(
        cast.member, title="Foxes, owls", system_prompt="Be kind.", parameters={"seed": 7}, draft="half a th"
    )
    made = browser(cast.member).post(
        f"{BASE}/{conversation.pk}/images", {"url": PICTURE, "name": "fox.png"}, content_type="application/json"
    )
    question = say(conversation, "user", "What is this?", images=[made.json()["id"]])
    summary = {"run": "0" * 32, "request_id": f"req_{'0' * 32}", "cost_dollars": "0.000222", "ending": "stop"}
    say(conversation, "assistant", "A fox.", run="0" * 32, summary=summary, asked_with=SETTINGS, reasoning="Red.")
    second = say(conversation, "assistant", "", parent=question, tool_calls=[CALL], state="stopped")
    say(conversation, "tool", "nothing there", parent=second, tool_call_id="call_0")
    conversation.head = conversation.messages.get(content="A fox.")
    conversation.save()
    return conversation


def test_a_file_brings_back_every_branch(cast: Cast, branched: Conversation) -> None:
    file = exported(cast, branched)
    answer = imported(cast, file)
    assert answer.status_code == 201
    made = Conversation.objects.get(pk=answer.json()["id"])
    assert made.pk != branched.pk
    kept = ("title", "model", "system_prompt", "parameters", "project_id", "user_id")
    assert [getattr(made, name) for name in kept] == [getattr(branched, name) for name in kept]
    shown = page_of(cast.member, made)["messages"]
    assert [(turn["role"], turn["content"], len(turn["versions"])) for turn in shown] == [
        ("user", "What is this?", 1),
        ("assistant", "A fox.", 2),
    ]
    assert browser(cast.member).get(f"/playground/images/{shown[0]['images'][0]}").status_code == 200
    call = made.messages.get(state="stopped")
    assert (call.tool_calls, call.children.get().tool_call_id) == ([CALL], "call_0")
    answered = made.messages.get(content="A fox.")
    assert (answered.asked_with, answered.reasoning) == (SETTINGS, "Red.")
    # What it took is the first one's: this one has no run, and so no receipt.
    assert (answered.run, answered.summary) == ("", None)
    without_runs = [{**turn, "run": None} for turn in json.loads(file)["turns"]]
    again = [{**turn, "run": None} for turn in json.loads(exported(cast, made))["turns"]]
    assert again == without_runs


def test_a_file_names_nobody_and_no_run(cast: Cast, branched: Conversation) -> None:
    file = exported(cast, branched)
    for word in ("0" * 32, str(branched.pk), "acme", "member", "half a th"):
        assert word not in file
    assert json.loads(file)["turns"][1]["run"] == {"cost_dollars": "0.000222", "ending": "stop"}


def test_an_answer_under_way_is_left_out_and_a_lost_one_is_stopped(cast: Cast) -> None:
    conversation = conversation_of(cast.member)
    say(conversation, "user", "Hello")
    run = claims.claim(conversation.pk)
    conversation.head = say(conversation, "assistant", "Hi th", state=Message.State.RUNNING, run=run)
    conversation.save()
    file = json.loads(exported(cast, conversation))
    claims.release(conversation.pk)
    assert [turn["id"] for turn in file["turns"]] == [file["shown"]] == [1]
    file = json.loads(exported(cast, conversation))
    assert [turn["state"] for turn in file["turns"]] == ["complete", "stopped"]
    assert file["shown"] == file["turns"][1]["id"]


def test_markdown_has_the_branch_that_is_shown(cast: Cast, branched: Conversation) -> None:
    text = exported(cast, branched, "markdown")
    assert text.startswith("# Foxes, owls\n\nModel: `fable/fox-1b`\n")
    for part in ("## System prompt\n\nBe kind.", "## User\n", "Picture: `fox.png`", "> Red.", "\nA fox.\n"):
        assert part in text
    assert "nothing there" not in text
    assert browser(cast.member).get(f"{BASE}/{branched.pk}/export?as=pdf").status_code == 400


HELLO = {"id": 1, "role": "user", "content": "Hello"}


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("{", "not valid JSON"),
        ("[" * 100_000, "This is not a conversation that was exported here."),
        ([], "This is not a conversation that was exported here."),
        ({"messages": []}, "This is not a conversation that was exported here."),
        (file_of(version=2), "version"),
        (file_of(user=1), "user"),
        (file_of(model=""), "model"),
        (file_of(parameters={"temperature": 3}), "temperature"),
        (file_of({**HELLO, "role": "root"}), "role"),
        (file_of({**HELLO, "state": "running"}), "state"),
        (file_of({**HELLO, "run_id": "0" * 32}), "run_id"),
        (file_of({**HELLO, "settings": {"model": MODEL, "parameters": {"top_p": 3}}}), "top_p"),
        (file_of({**HELLO, "images": [{"url": "https://example.org/a.png"}]}), "PNG"),
        (file_of({**HELLO, "images": [{"url": "data:image/svg+xml;base64,AAAA"}]}), "PNG"),
        (file_of(HELLO, HELLO), "Two turns have the id 1."),
        (file_of({**HELLO, "parent": 1}), "Turn 1 comes before its parent, 1."),
        (file_of({**HELLO, "parent": 2}, {**HELLO, "id": 2, "parent": 1}), "Turn 1 comes before its parent, 2."),
        (file_of(HELLO, shown=9), "There is no turn 9 to show."),
        (file_of(title="x" * (limits.MAX_TITLE_CHARACTERS + 1)), "title"),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 60 else "",
)
def test_a_file_of_another_shape_is_refused_with_the_reason(cast: Cast, file: Any, words: str) -> None:
    refused = imported(cast, file)
    assert refused.status_code == 400
    assert words in refused.json()["error"]["message"]
    assert not Conversation.objects.exists()


def test_a_file_has_its_bounds(cast: Cast) -> None:
    deep = [{"id": 0, "role": "user", "content": "x"}]
    deep += [{**deep[0], "id": place, "parent": place - 1} for place in range(1, limits.MAX_CONVERSATION_MESSAGES + 1)]
    assert imported(cast, file_of(*deep)).json()["error"]["code"] == "limit_reached"
    many = [{"id": place, "role": "user"} for place in range(limits.MAX_CONVERSATION_MESSAGES_MADE + 1)]
    assert imported(cast, file_of(*many)).status_code == 400
    assert not Conversation.objects.exists()


def test_what_a_database_cannot_keep_is_left_out_of_a_file(cast: Cast) -> None:
    call = {**CALL, "function": {"name": "look\0", "arguments": '{"a": "\0"}'}}
    turn = {"id": 0, "role": "assistant", "content": "a\0b", "tool_calls": [call], "tool_call_id": "x\0"}
    made = imported(cast, file_of(turn, title="one\ntwo\u202e"))
    assert (made.status_code, made.json()["title"]) == (201, "one two")
    assert "\\u0000" not in json.dumps(made.json())
