"""Conversations from before there were branches are all there afterwards."""

from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from playground.models import Conversation, Message
from tests.playground.cast import Cast, conversation_of, page_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.either_database]


def migrate(name: str) -> Any:
    executor = MigrationExecutor(connection)
    executor.migrate([("playground", name)])
    return executor.loader.project_state([("playground", name)]).apps


@pytest.fixture
def latest() -> Any:
    yield
    # As a whole: the triggers come after it.
    call_command("migrate", verbosity=0)


@pytest.mark.usefixtures("latest")
def test_turns_in_line_follow_one_another_and_what_was_being_replaced_is_a_version(cast: Cast) -> None:
    plain = conversation_of(cast.member, title="plain", draft="half a th")
    unfinished = conversation_of(cast.member, title="unfinished")
    empty = conversation_of(cast.member, title="empty")
    before = migrate("0001_initial").get_model("playground", "Message")

    def put(conversation: Conversation, position: int, content: str, **more: Any) -> Any:
        role = "assistant" if content[0] == "A" else "user"
        place = {"conversation_id": conversation.pk, "position": position}
        return before.objects.create(role=role, content=content, **place, **more)

    for position, content in enumerate(["Q1", "A1", "Q2", "A2"]):
        put(plain, position, content)
    put(unfinished, 0, "Q1")
    lost = put(unfinished, 1, "A1 again", state="running", run="0" * 32)
    for position, content in enumerate(["A1", "Q2", "A2"], start=1):
        put(unfinished, position, content, replaced_by=lost.pk)

    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes("playground"))
    page = page_of(cast.member, plain)
    assert [message["content"] for message in page["messages"]] == ["Q1", "A1", "Q2", "A2"]
    assert (page["draft"], page_of(cast.member, empty)["messages"]) == ("half a th", [])
    page = page_of(cast.member, unfinished)
    assert [message["content"] for message in page["messages"]] == ["Q1", "A1 again"]
    assert (page["messages"][1]["state"], len(page["messages"][1]["versions"])) == ("stopped", 2)
    older: Message | None = unfinished.messages.get(content="A2")
    branch = []
    while older:
        branch.append(older.content)
        older = older.parent
    assert branch == ["A2", "Q2", "A1", "Q1"]
