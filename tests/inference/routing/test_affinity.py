"""A conversation is known by its beginning, whatever agents write into that anew with each turn."""

import random
from typing import Any

from inference.routing.affinity import affinity_of
from tests.inference.engines.conversation import chat

SYSTEM = [f"Rule {'abcdefghij'[n % 10]}{'klmnopqrst'[n // 10]}: be as careful as can be." for n in range(100)]
TOOL = {"type": "function", "function": {"name": "read", "parameters": {"type": "object", "properties": {}}}}


def turn(number: int, *, task: str = "Mend the roof.", volatile: str = "", **more: Any) -> int:
    """Return the affinity of an agent's turn: its prompt grows, and one line of it is new."""
    system = "\n".join([volatile or f"x-anthropic-billing-header: cc_version=2.{number}; cch={number:05x}", *SYSTEM])
    messages: list[dict[str, Any]] = [{"role": "system", "content": system}, {"role": "user", "content": task}]
    for before in range(number):
        messages += [{"role": "assistant", "content": f"Step {before}"}, {"role": "user", "content": "Go on."}]
    return affinity_of(7, chat(messages=messages, tools=[TOOL], **more))


def test_a_line_that_changes_with_each_turn_changes_nothing() -> None:
    assert len({turn(number) for number in range(30)}) == 1
    assert len({turn(n, volatile=f"The time is 12:{n:02} on the 3rd of May.") for n in range(30)}) == 1


def test_a_line_of_words_that_changes_changes_next_to_nothing() -> None:
    words = random.Random(3)
    volatile = ["Branch: " + "".join(words.choices("abcdefghij", k=12)) for _ in range(200)]
    found = [turn(1, volatile=line) for line in volatile]
    assert max(found.count(each) for each in set(found)) >= 185


def test_other_conversations_are_others() -> None:
    assert turn(1) != turn(1, task="Mend the door.")
    assert affinity_of(7, chat()) != affinity_of(8, chat())
    assert affinity_of(7, chat()) != affinity_of(7, chat(tools=[TOOL]))
    roles = [affinity_of(7, chat(messages=[{"role": "system", "content": f"You are agent {n}."}])) for n in range(9)]
    assert len(set(roles)) == 9


def test_a_cache_key_says_what_belongs_together() -> None:
    assert turn(1, prompt_cache_key="a") == turn(1, task="Mend the door.", prompt_cache_key="a")
    assert turn(1, prompt_cache_key="a") != turn(1, prompt_cache_key="b")


def test_a_system_message_may_be_of_parts_or_empty() -> None:
    def system(content: Any) -> int:
        return affinity_of(7, chat(messages=[{"role": "system", "content": content}, {"role": "user", "content": "x"}]))

    assert system([{"type": "text", "text": "Be brief."}, {"type": "text", "text": "It is 12:30."}]) == system(
        "Be brief."
    )
    assert system("") != system("Be brief.")
