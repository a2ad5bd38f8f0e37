"""Nothing that was said is lost: asking again or another way begins a branch, and what is deleted comes back."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from playground import limits
from playground.models import Conversation, Message
from tests.playground.cast import Cast, browser, conversation_of, page_of, say

BASE = "/playground/conversations"


def texts(page: Any) -> list[str]:
    return [message["content"] for message in page["messages"]]


def post(cast: Cast, conversation: Conversation, action: str, **body: Any) -> Any:
    client = browser(cast.member)
    return client.post(f"{BASE}/{conversation.pk}/{action}", body, content_type="application/json")


def delete(cast: Cast, conversation: Conversation, message: Message | None = None, **headers: str) -> str:
    """Delete a message with what follows it, or the whole conversation; return what names the deletion."""
    place = f"/messages/{message.pk}" if message else ""
    response = browser(cast.member).delete(f"{BASE}/{conversation.pk}{place}", headers=headers)
    assert response.status_code == 204
    return response.headers["Parley-Deletion"]


@pytest.fixture
def branched(cast: Cast) -> tuple[Conversation, dict[str, Message]]:
    """One question with two answers, of which the older one was talked about further."""
    conversation = conversation_of(cast.member, title="Q")
    question = say(conversation, "user", "Q")
    one = say(conversation, "assistant", "A1", parent=question)
    more = say(conversation, "user", "And?", parent=one)
    last = say(conversation, "assistant", "So.", parent=more)
    two = say(conversation, "assistant", "A2", parent=question)
    return conversation, {"Q": question, "A1": one, "And?": more, "So.": last, "A2": two}


Branched = tuple[Conversation, dict[str, Message]]


def test_the_newest_branch_is_shown_and_every_turn_names_its_versions(cast: Cast, branched: Branched) -> None:
    conversation, said = branched
    page = page_of(cast.member, conversation)
    assert texts(page) == ["Q", "A2"]
    assert page["messages"][0]["versions"] == [str(said["Q"].pk)]
    assert page["messages"][1]["versions"] == [str(said["A1"].pk), str(said["A2"].pk)]


def test_another_version_brings_everything_behind_it(cast: Cast, branched: Branched) -> None:
    conversation, said = branched
    shown = post(cast, conversation, "branch", message=str(said["A1"].pk)).json()
    assert texts(shown) == ["Q", "A1", "And?", "So."] == texts(page_of(cast.member, conversation))
    assert shown["version"] == conversation.version + 1


def test_a_version_of_another_conversation_is_not_found(cast: Cast, branched: Branched) -> None:
    other = say(conversation_of(cast.member), "user", "elsewhere")
    assert post(cast, branched[0], "branch", message=str(other.pk)).status_code == 404


def test_a_deleted_version_gives_way_to_the_one_before(cast: Cast, branched: Branched) -> None:
    conversation, said = branched
    deletion = delete(cast, conversation, said["A2"])
    assert texts(page_of(cast.member, conversation)) == ["Q", "A1", "And?", "So."]
    restored = post(cast, conversation, "restore", deletion=deletion, head=str(said["A2"].pk)).json()
    assert texts(restored) == ["Q", "A2"]


def test_what_was_deleted_with_all_after_it_comes_back_as_it_was(cast: Cast, branched: Branched) -> None:
    conversation, said = branched
    deletion = delete(cast, conversation, said["Q"])
    assert page_of(cast.member, conversation)["messages"] == []
    assert page_of(cast.member, conversation)["title"] == ""
    restored = post(cast, conversation, "restore", deletion=deletion, head=str(said["So."].pk)).json()
    assert (texts(restored), restored["title"]) == (["Q", "A1", "And?", "So."], "Q")


def test_an_emptied_conversation_and_a_deleted_one_come_back(cast: Cast, branched: Branched) -> None:
    conversation, _ = branched
    deletion = post(cast, conversation, "clear").json()["deletion"]
    assert texts(post(cast, conversation, "restore", deletion=deletion).json()) == ["Q", "A2"]
    deletion = delete(cast, conversation)
    assert browser(cast.member).get(f"{BASE}/{conversation.pk}").status_code == 404
    assert texts(post(cast, conversation, "restore", deletion=deletion).json()) == ["Q", "A2"]
    assert texts(page_of(cast.member, conversation)) == ["Q", "A2"]


def test_only_the_author_brings_back_and_only_what_was_deleted_then(cast: Cast, branched: Branched) -> None:
    conversation, _ = branched
    deletion = delete(cast, conversation)
    assert post(cast, conversation, "restore", deletion=timezone.now().isoformat()).status_code == 404
    body = {"deletion": deletion}
    foreign = browser(cast.owner).post(f"{BASE}/{conversation.pk}/restore", body, content_type="application/json")
    assert foreign.status_code == 404


def test_what_nobody_brings_back_is_gone_for_good_in_the_end(cast: Cast, branched: Branched) -> None:
    conversation, said = branched
    delete(cast, conversation, said["A2"])
    long_ago = timezone.now() - limits.KEEP_DELETED - timedelta(seconds=1)
    Message.with_deleted.filter(pk=said["A2"].pk).update(deleted_at=long_ago)
    delete(cast, conversation_of(cast.member))
    assert not Message.with_deleted.filter(pk=said["A2"].pk).exists()
    assert texts(page_of(cast.member, conversation)) == ["Q", "A1", "And?", "So."]


def test_deleting_on_a_page_that_shows_something_else_is_refused(cast: Cast, branched: Branched) -> None:
    conversation, said = branched
    client = browser(cast.member)
    place = f"{BASE}/{conversation.pk}/messages/{said['A2'].pk}"
    refused = client.delete(place, headers={"If-Match": f'"{conversation.version + 1}"'})
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "conversation_changed")
    assert client.delete(place, headers={"If-Match": f'"{conversation.version}"'}).status_code == 204
