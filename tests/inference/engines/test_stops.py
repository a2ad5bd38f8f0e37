from hypothesis import given
from hypothesis import strategies as st

from inference.engines.stops import StopCutter


def cut(pieces: list[str], stops: list[str]) -> str:
    cutter = StopCutter(stops)
    return "".join([*(cutter.feed(piece) for piece in pieces), cutter.flush()])


def test_the_text_ends_before_the_stop_sequence() -> None:
    assert cut(["one E", "N", "D two"], ["END"]) == "one "


def test_the_earliest_of_several_stop_sequences_counts() -> None:
    assert cut(["a, b; c"], [";", ","]) == "a"


def test_what_only_looked_like_a_stop_sequence_is_given_after_all() -> None:
    assert cut(["one EN"], ["END"]) == "one EN"


def test_text_that_cannot_become_a_stop_sequence_is_not_held_back() -> None:
    assert StopCutter(["END"]).feed("plain text") == "plain text"


@given(st.lists(st.text("ab", max_size=4)), st.lists(st.text("ab", min_size=1, max_size=4), min_size=1, max_size=3))
def test_cutting_pieces_equals_cutting_the_whole(pieces: list[str], stops: list[str]) -> None:
    shown = cut(pieces, stops)
    whole = "".join(pieces)
    assert whole.startswith(shown)
    assert not any(stop in shown for stop in stops)
    if shown != whole:
        assert any(whole[len(shown) :].startswith(stop) for stop in stops)
