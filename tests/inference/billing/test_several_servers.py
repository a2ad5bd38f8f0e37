"""Who counts what is paid for, where several servers answer for a model and one of them lets us down."""

from collections.abc import Iterator
from typing import NamedTuple

import pytest

from accounts.caller import Caller
from credits.errors import InsufficientCredits
from tests.fakes.tgi import FakeTgi
from tests.inference.payers import balance, bound_nano, finish, grant, paths, refused, start
from tests.inference.scenes import OUTPUT_NANO, asked, cost_nano, register

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.either_database]


class Pair(NamedTuple):
    """The server that is asked first, and the other one."""

    first: FakeTgi
    second: FakeTgi


@pytest.fixture
def servers(transactional_db: None) -> Iterator[list[FakeTgi]]:
    """Two servers of one model."""
    with FakeTgi() as one, FakeTgi() as other:
        register(one)
        register(other)
        yield [one, other]


async def pair_of(servers: list[FakeTgi], pauper: Caller) -> Pair:
    """Find out who is asked first, at the cost of one token, and have that one answer nobody any more."""
    await grant(pauper, cost_nano(1))
    await finish(start(pauper, max_tokens=1))
    pair = Pair(*sorted(servers, key=lambda server: not asked(server)))
    assert not pair.second.requests
    pair.first.script.response = (500, "text/plain", b"Out of order")
    return pair


async def test_a_balance_that_is_enough_is_not_refused_because_the_nearest_server_cannot_count(
    pauper: Caller, servers: list[FakeTgi]
) -> None:
    pair = await pair_of(servers, pauper)
    await grant(pauper, cost_nano(4))
    text, receipt = await finish(start(pauper, max_tokens=4))
    assert (text, receipt.cost_nano) == ("The quick brown fox", cost_nano(4))
    assert paths(pair.first)[-2:] == paths(pair.second) == ["/chat_tokenize", "/v1/chat/completions"]
    assert await balance(pauper) == 0


async def test_a_prompt_that_one_server_refuses_to_count_is_not_shown_to_the_others(
    pauper: Caller, servers: list[FakeTgi]
) -> None:
    pair = await pair_of(servers, pauper)
    pair.first.script.response = (422, "application/json", b'{"error":"Template error","error_type":"template_error"}')
    await grant(pauper, cost_nano(4))
    await refused(start(pauper, max_tokens=4))
    assert not pair.second.requests


async def test_an_answer_is_counted_by_the_server_that_gives_it(pauper: Caller, servers: list[FakeTgi]) -> None:
    pair = await pair_of(servers, pauper)
    pair.second.script.default_tokens = 1_000
    await grant(pauper, await bound_nano(40))
    affordable = (await bound_nano(40) - cost_nano(1)) // OUTPUT_NANO + 1
    run = start(pauper, stream=True)
    with pytest.raises(InsufficientCredits):
        await finish(run)
    receipt = await run.ended()
    # It ends where the balance does, and not where the bytes of what was said might have cost as much.
    assert (receipt.usage.completion_tokens, receipt.cost_nano) == (affordable, cost_nano(affordable))
    assert "/tokenize" not in paths(pair.first)
