"""A client that leaves at any token: what was sent is charged, to the token, and no output is no charge."""

from typing import Any, NamedTuple

import pytest
from pytest_django.fixtures import Settings

from accounts.models import Team
from credits.models import Hold
from tests.api.scenes import Connect, balance, body, the_run
from tests.fakes.tgi import FakeTgi
from tests.inference.scenes import DOLLAR, asked, cost_nano
from tests.patience import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.either_database]

LAST = 100
# The last has all that the engine generates, but not the end of its answer.
COUNTS = [0, 1, 10, LAST // 2, LAST]


class How(NamedTuple):
    """What is asked for, and with which headers."""

    fields: dict[str, Any]
    headers: dict[str, str]


HOW = {
    "held whole": How({"max_tokens": LAST}, {}),
    "by slices": How({}, {}),
    "asked once": How({}, {"Idempotency-Key": "order-4711"}),
}


@pytest.fixture
def hundred(tgi: FakeTgi, settings: Settings) -> FakeTgi:
    """An engine with a hundred tokens to say, which are paid for by slices where no limit was given."""
    settings.SLICE_TOKENS = LAST // 2
    tgi.script.default_tokens = LAST
    return tgi


def check_charged(team: Team, tokens: int) -> None:
    run = the_run()
    assert (run.ending, run.delivered_tokens, run.cost_nano) == ("disconnected", tokens, cost_nano(tokens))
    assert balance(team) == DOLLAR - cost_nano(tokens)
    assert not Hold.objects.filter(state=Hold.State.OPEN).exists()


@pytest.mark.parametrize("how", HOW.values(), ids=HOW)
@pytest.mark.parametrize("count", COUNTS)
def test_who_leaves_a_stream_pays_for_what_was_sent(
    connect: Connect, hundred: FakeTgi, funded: Team, settings: Settings, *, count: int, how: How
) -> None:
    hundred.script.silent_after = count
    with connect(body(stream=True, **how.fields), headers=how.headers) as wire:
        until(lambda: asked(hundred))
        wire.read_words(count)
        settings.RECONNECT_GRACE_SECONDS = 0.1
    check_charged(funded, count)


@pytest.mark.parametrize("how", HOW.values(), ids=HOW)
@pytest.mark.parametrize("count", COUNTS)
def test_who_leaves_before_a_whole_answer_pays_nothing(
    connect: Connect, hundred: FakeTgi, funded: Team, settings: Settings, *, count: int, how: How
) -> None:
    hundred.script.silent_after = count
    with connect(body(**how.fields), headers=how.headers):
        until(lambda: asked(hundred) and asked(hundred)[0].tokens_sent == count)
        settings.RECONNECT_GRACE_SECONDS = 0.1
    check_charged(funded, 0)
