import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.engines.sse import MAX_EVENT_BYTES, EventParser
from inference.errors import EngineFailed

# Everything that may stand in a stream, and every kind of line end around it.
STREAM = (
    "\ufeffdata: one\n\n:\n\ndata:two\r\n\r\n: note\nevent: x\ndata: a\ndata: b\n\n"
    "data: \u2028\x85é\n\n\n\ndata: [DONE]\n\n"
)
EVENTS = [b"one", b"two", b"a\nb", "\u2028\x85é".encode(), b"[DONE]"]


def test_every_kind_of_event_is_read() -> None:
    assert EventParser().feed(STREAM.encode()) == EVENTS


@given(st.lists(st.integers(0, len(STREAM.encode()))))
def test_a_stream_split_anywhere_gives_the_same_events(cuts: list[int]) -> None:
    stream, parser = STREAM.encode(), EventParser()
    edges = [0, *sorted(cuts), len(stream)]
    pieces = [stream[start:end] for start, end in itertools.pairwise(edges)]
    assert [event for piece in pieces for event in parser.feed(piece)] == EVENTS


@given(st.lists(st.text(st.characters(exclude_characters="\r\n", codec="utf-8"), min_size=1)), st.data())
def test_any_data_comes_through(values: list[str], draw: st.DataObject) -> None:
    stream = b"".join(b"data: %b\n\n" % value.encode() for value in values)
    cut, parser = draw.draw(st.integers(0, len(stream))), EventParser()
    assert parser.feed(stream[:cut]) + parser.feed(stream[cut:]) == [value.encode() for value in values]


def test_an_unfinished_event_is_not_given() -> None:
    assert EventParser().feed(b"data: one\n\ndata: tw") == [b"one"]


def test_an_event_without_end_is_refused_at_its_limit() -> None:
    parser = EventParser()
    assert not parser.feed(b"x" * MAX_EVENT_BYTES)
    with pytest.raises(EngineFailed):
        parser.feed(b"x")
