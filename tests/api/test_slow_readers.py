"""A client that reads slowly, or not at all, while the engine goes on."""

import threading
import time
from contextlib import ExitStack, suppress

import pytest
from pytest_django.fixtures import Settings

from accounts.models import Team
from inference.models import Model, Run
from tests.api.scenes import Connect, Wire, balance, body, events, the_run
from tests.fakes.tgi import FakeTgi
from tests.inference.scenes import DOLLAR, asked, cost_nano
from tests.patience import until

pytestmark = pytest.mark.django_db(transaction=True)

MEGABYTE = 1_048_576


@pytest.fixture
def torrent(tgi: FakeTgi, settings: Settings) -> FakeTgi:
    """An engine without an end, and little patience with slow readers."""
    settings.READER_BYTES = MEGABYTE
    settings.READER_SECONDS = 0.5
    Model.objects.update(context_tokens=1_000_000)
    tgi.script.endless = True
    tgi.script.tokens_per_write = 10
    # One token each, and large: the two sockets' own buffers take five megabytes.
    tgi.script.answer = [" " + "x" * 2_000]
    return tgi


def test_a_reader_that_takes_nothing_is_cut_and_charged_what_was_sent(
    connect: Connect, torrent: FakeTgi, funded: Team, caplog: pytest.LogCaptureFixture
) -> None:
    with connect(body(stream=True), receive_bytes=4_096) as wire:
        until(lambda: asked(torrent) and asked(torrent)[0].closed_at)
        run = the_run()
        assert wire.is_cut()
    assert run.ending == "slow_reader"
    assert run.delivered_tokens <= run.generated_tokens <= asked(torrent)[0].tokens_sent
    assert balance(funded) == DOLLAR - cost_nano(run.delivered_tokens)
    # What was generated and not sent is all that was kept: the bound, and what one read from the engine brought.
    assert (run.generated_tokens - run.delivered_tokens) * 2_000 < MEGABYTE + 524_288
    assert b"[DONE]" not in wire.received
    # It is nothing out of the ordinary.
    assert "Traceback" not in caplog.text


def test_each_of_many_who_take_little_or_nothing_is_cut_and_charged_what_was_sent(
    connect: Connect, torrent: FakeTgi, funded: Team
) -> None:
    """``python -m bench.readers`` does it with 500, and weighs the site."""
    with ExitStack() as wires:
        readers = [
            wires.enter_context(connect(body(stream=True), receive_bytes=4_096, segment_bytes=1_460)) for _ in range(8)
        ]
        sipping = threading.Thread(target=sip, args=[readers[::2]])
        sipping.start()
        until(lambda: len(asked(torrent)) == 8 and all(request.closed_at for request in asked(torrent)))
        sipping.join()
        until(lambda: Run.objects.count() == 8)
    for run in Run.objects.all():
        assert run.ending == "slow_reader"
        assert 0 < run.cost_nano == cost_nano(run.delivered_tokens)
        assert (run.generated_tokens - run.delivered_tokens) * 2_000 < MEGABYTE + 524_288
    assert balance(funded) == DOLLAR - sum(run.cost_nano for run in Run.objects.all())


def sip(readers: list[Wire]) -> None:
    """Take a little from each, now and then, for two seconds, or until it is cut."""
    for _ in range(20):
        for reader in readers:
            with suppress(ConnectionError):
                reader.socket.recv(500)
        time.sleep(0.1)


def test_a_reader_that_fell_behind_is_told_why_its_answer_ends(
    connect: Connect, torrent: FakeTgi, funded: Team, settings: Settings
) -> None:
    settings.READER_SECONDS = 60
    with connect(body(stream=True)) as wire:
        until(lambda: asked(torrent) and asked(torrent)[0].closed_at)
        wire.read_until(b"[DONE]")
    run = the_run()
    last = events(_unchunked(wire.received))[-1]
    assert last["error"]["code"] == "reader_too_slow"
    assert run.ending == "slow_reader"
    # It took everything in the end.
    assert run.delivered_tokens == run.generated_tokens


def test_a_reader_that_pauses_in_time_loses_nothing(
    connect: Connect, tgi: FakeTgi, funded: Team, settings: Settings
) -> None:
    tgi.script.tokens_per_write = 20
    with connect(body(stream=True, max_tokens=1_000)) as wire:
        until(lambda: asked(tgi) and asked(tgi)[0].answered_at)
        time.sleep(0.2)
        wire.read_until(b"[DONE]")
    assert wire.received.count(b'"content":') == 1_001
    assert the_run().ending == "length"
    assert balance(funded) == DOLLAR - cost_nano(1_000)


def test_one_slow_reader_does_not_slow_another(
    connect: Connect, tgi: FakeTgi, funded: Team, settings: Settings
) -> None:
    settings.READER_SECONDS = 600
    tgi.script.tokens_per_write = 50
    with connect(body(stream=True, max_tokens=3_000), receive_bytes=4_096) as slow:
        slow.read_words(1)
        with connect(body(stream=True, max_tokens=10)) as quick:
            quick.read_until(b"[DONE]")
        slow.read_until(b"[DONE]")


def test_an_answer_without_an_end_is_ended(
    connect: Connect, torrent: FakeTgi, funded: Team, settings: Settings
) -> None:
    settings.ANSWER_BYTES = MEGABYTE
    for fields in ({"stream": True}, {}):
        with connect(body(**fields)) as wire:
            wire.read_until(b"more than was asked for")
    assert balance(funded) > 0


def test_an_engine_that_ignores_the_limit_is_ended_at_it(connect: Connect, torrent: FakeTgi, funded: Team) -> None:
    with connect(body(stream=True, max_tokens=120)) as wire:
        wire.read_until(b"[DONE]")
    assert wire.received.count(b'"content":" xxx') == 120
    run = the_run()
    assert (run.ending, run.delivered_tokens) == ("length", 120)
    assert balance(funded) == DOLLAR - cost_nano(120)


def _unchunked(received: bytes) -> str:
    """Return the body of a chunked response, from its head on."""
    rest = received.partition(b"\r\n\r\n")[2]
    text = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        text, rest = text + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
    return text.decode()
