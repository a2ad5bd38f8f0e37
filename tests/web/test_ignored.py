"""The header that names what was left out."""

from web.ignored import HEADER, MAX_NAMES, ignored_head


def test_nothing_left_out_is_no_header() -> None:
    assert ignored_head([]) == {}


def test_each_name_is_told_once_and_of_many_how_many_more() -> None:
    assert ignored_head(["a.b", "c[0].d", "a.b"]) == {HEADER: "a.b, c[0].d"}
    many = ignored_head(f"x{number}" for number in range(MAX_NAMES + 3))[HEADER]
    assert many.endswith(", x15, and 3 more")


def test_no_name_breaks_the_head() -> None:
    named = ignored_head(["messages[0].a\r\nset-cookie: x", "é,ü", "x" * 10_000])[HEADER]
    assert named == f"messages[0].a??set-cookie:?x, ???, {'x' * 80}"
