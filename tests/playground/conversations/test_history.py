"""Every conversation can be reached, however many there are."""

import time
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from playground import limits
from playground.models import Conversation, Message
from tests.playground.cast import MODEL, PROJECT, Cast, browser, conversation_of, say

BASE = "/playground/conversations"


def listed(cast: Cast, **query: str) -> Any:
    return browser(cast.member).get(BASE, {"project": PROJECT, **query}).json()


def walk(cast: Cast, **query: str) -> list[dict[str, Any]]:
    """Return every item, page after page."""
    found, page = [], listed(cast, **query)
    while True:
        found += page["conversations"]
        if page["cursor"] is None:
            return found
        page = listed(cast, cursor=page["cursor"], **query)


def many(cast: Cast, count: int) -> list[Conversation]:
    one = conversation_of(cast.member)
    rows = [
        Conversation(user=cast.member, project=one.project, model=MODEL, title=f"Number {number}")
        for number in range(count)
    ]
    made = Conversation.objects.bulk_create(rows)
    one.delete()
    return made


def test_pages_follow_one_another_to_the_last_without_a_gap_or_a_double(cast: Cast) -> None:
    made = many(cast, 2 * limits.MAX_CONVERSATIONS_LISTED + 1)
    # Some of the same moment: the cursor tells them apart.
    Conversation.objects.filter(pk__in=[item.pk for item in made[:150]]).update(updated_at=timezone.now())
    found = walk(cast)
    assert {item["id"] for item in found} == {str(item.pk) for item in made}
    assert len(found) == len(made)
    assert [item["updated_at"] for item in found] == sorted((item["updated_at"] for item in found), reverse=True)


@pytest.mark.parametrize("cursor", ["x", "x_y", "2026-01-01_", "_", "2026-01-01T00:00:00+00:00_x"])
def test_a_cursor_that_is_none_is_not_found(cast: Cast, cursor: str) -> None:
    assert browser(cast.member).get(BASE, {"project": PROJECT, "cursor": cursor}).status_code == 404


def test_words_are_found_in_titles_and_in_what_was_said(cast: Cast) -> None:
    titled = conversation_of(cast.member, title="Foxes and HENS")
    said = conversation_of(cast.member, title="Other")
    say(said, "user", "Tell me")
    say(said, "assistant", "Long ago, " * 10 + "a fox met\n\n some hens " + "and so on " * 20)
    conversation_of(cast.member, title="foxes only")
    korean = conversation_of(cast.member, title="여우 이야기")
    found = {item["id"]: item["snippet"] for item in listed(cast, search="fox hens")["conversations"]}
    assert set(found) == {str(titled.pk), str(said.pk)}
    assert "a fox met some hens" in found[str(said.pk)]
    assert found[str(said.pk)].startswith("…")
    assert [item["id"] for item in listed(cast, search="이야기")["conversations"]] == [str(korean.pk)]
    assert listed(cast, search="%")["conversations"] == listed(cast, search="_")["conversations"] == []


def test_a_search_finds_nothing_of_others_and_nothing_deleted(cast: Cast) -> None:
    say(conversation_of(cast.owner, title="secret"), "user", "secret")
    gone = conversation_of(cast.member, title="secret")
    browser(cast.member).delete(f"{BASE}/{gone.pk}")
    assert listed(cast, search="secret")["conversations"] == []


def test_a_search_goes_on_behind_what_it_looked_into(cast: Cast) -> None:
    made = many(cast, limits.MAX_CONVERSATIONS_SEARCHED + 5)
    oldest = made[0]
    Conversation.objects.filter(pk=oldest.pk).update(updated_at=timezone.now() - timedelta(days=1), title="Needle")
    first = listed(cast, search="needle")
    assert (first["conversations"], first["cursor"] is None) == ([], False)
    assert [item["id"] for item in walk(cast, search="needle")] == [str(oldest.pk)]


def test_ten_thousand_conversations_stay_quick(cast: Cast) -> None:
    made = many(cast, 10_000)
    Message.objects.bulk_create(
        Message(conversation=item, position=place, role="user", content=f"words {number} " * 30)
        for number, item in enumerate(made)
        for place in range(2)
    )
    client = browser(cast.member)
    client.get(BASE, {"project": PROJECT})

    def ask(**query: str) -> tuple[Any, float]:
        """Return an answer and the processor time that it took: others on this machine are not counted."""
        began = time.process_time()
        return client.get(BASE, {"project": PROJECT, **query}).json(), time.process_time() - began

    first, first_seconds = ask()
    found, search_seconds = ask(search="words 9999")
    second, second_seconds = ask(cursor=first["cursor"])
    assert len(second["conversations"]) == limits.MAX_CONVERSATIONS_LISTED
    assert found["conversations"][0]["snippet"].startswith("words 9999")
    assert max(first_seconds, second_seconds) < 0.2
    assert search_seconds < 0.5


def test_a_conversation_that_is_being_answered_is_marked_only_while_its_run_lives(cast: Cast) -> None:
    conversation = conversation_of(cast.member)
    say(conversation, "assistant", "", state="running", run="0" * 32)
    (item,) = listed(cast)["conversations"]
    assert item["running"] is False
