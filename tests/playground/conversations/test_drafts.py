"""Two tabs on one conversation: what each types is its own, and what is sent is what its sender saw."""

import json
from typing import Any

from playground import limits
from playground.models import Conversation
from tests.playground.cast import Cast, browser, conversation_of, page_of

BASE = "/playground/conversations"


def patch(cast: Cast, conversation: Conversation, seen: int | None = None, **changes: Any) -> Any:
    headers = {} if seen is None else {"If-Match": f'"{seen}"'}
    place = f"{BASE}/{conversation.pk}"
    return browser(cast.member).patch(place, json.dumps(changes), content_type="application/json", headers=headers)


def test_each_tab_keeps_its_own_draft(cast: Cast) -> None:
    conversation = conversation_of(cast.member)
    patch(cast, conversation, tab="one", draft="A thought")
    patch(cast, conversation, tab="two", draft="Another")
    patch(cast, conversation, tab="one", draft="A longer thought")
    page = page_of(cast.member, conversation)
    assert page["drafts"] == {"one": "A longer thought", "two": "Another"}
    assert page["draft"] == "A longer thought"
    patch(cast, conversation, tab="two", draft="")
    assert page_of(cast.member, conversation)["drafts"] == {"one": "A longer thought"}


def test_of_too_many_tabs_the_latest_are_kept(cast: Cast) -> None:
    conversation = conversation_of(cast.member)
    for number in range(limits.MAX_DRAFTS_PER_CONVERSATION + 1):
        patch(cast, conversation, tab=str(number), draft="x")
    assert "0" not in page_of(cast.member, conversation)["drafts"]
    assert len(page_of(cast.member, conversation)["drafts"]) == limits.MAX_DRAFTS_PER_CONVERSATION


def test_a_change_of_settings_makes_a_version_and_a_draft_does_not(cast: Cast) -> None:
    conversation = conversation_of(cast.member)
    assert patch(cast, conversation, tab="one", draft="x").headers["ETag"] == '"1"'
    assert patch(cast, conversation, seen=1, parameters={"seed": 1}).headers["ETag"] == '"2"'
    assert page_of(cast.member, conversation)["version"] == 2


def test_a_page_that_shows_an_older_version_changes_nothing_but_its_draft(cast: Cast) -> None:
    conversation = conversation_of(cast.member)
    patch(cast, conversation, parameters={"seed": 1})
    refused = patch(cast, conversation, seen=1, parameters={"temperature": 1})
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "conversation_changed")
    assert page_of(cast.member, conversation)["parameters"] == {"seed": 1}
    assert patch(cast, conversation, seen=1, tab="one", draft="x").status_code == 204
