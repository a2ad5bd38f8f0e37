"""What schemas and patterns may ask of an engine, by what they expand to."""

import json
import time
from typing import Any

import pytest

from inference.errors import InvalidRequest
from inference.patterns import PatternRefused, anchored, is_regular, pattern_steps
from inference.schemas import Measured, is_recursive, with_definitions_inlined


def string(**more: Any) -> dict[str, Any]:
    return {"type": "string"} | more


def of(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def listed(items: Any, **more: Any) -> dict[str, Any]:
    return {"type": "array", "items": items} | more


def referring(definitions: dict[str, Any], reference: str) -> dict[str, Any]:
    return {"$defs": definitions, "$ref": reference}


TREE = referring({"t": of(children=listed({"$ref": "#/$defs/t"}))}, "#/$defs/t")
DOUBLING = {f"d{n}": of(a={"$ref": f"#/$defs/d{n + 1}"}, b={"$ref": f"#/$defs/d{n + 1}"}) for n in range(40)}


@pytest.mark.parametrize(
    "schema",
    [
        {},
        True,
        of(),
        of(a=string(maxLength=10_000, pattern="^[a-z]{1,200}$"), b={"type": ["integer", "null"], "minimum": 0}),
        of(a={"enum": ["a", 1, None, {"b": [1]}]}, b={"const": "x" * 1_000}),
        of(a=listed(of(b=string(), c={"type": "number"}), minItems=1, maxItems=1_000)),
        of(
            a={"type": "array", "items": None}, b={"properties": None, "pattern": None, "maxLength": None, "enum": None}
        ),
        of(**{f"p{n}": string() for n in range(500)}),
        of(a={"anyOf": [{"const": n} for n in range(500)]}),
        of(a={"enum": [f"v{n}" for n in range(1_000)]}),
        of(a={"type": "array", "prefixItems": [string(), {"type": "integer"}], "items": False}),
        {"patternProperties": {"^x-": string()}, "additionalProperties": False},
        referring({"a": string(), "b": {"$ref": "#/$defs/a"}, "a/b": of(c={"$ref": "#/$defs/b"})}, "#/$defs/a~1b"),
        TREE,
        of(next={"$ref": "#"}),
        of(a={"type": "array", "items": {"$ref": "#/properties/b"}}, b=string()),
    ],
)
def test_schemas_that_people_write_are_taken(schema: Any) -> None:
    Measured().add(schema, "here")


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        (of(a=string(pattern="^((a{0,1000}){0,1000}){0,1000}$")), "steps"),
        (of(a=string(pattern="^a{5,2}$")), "at least more often"),
        (of(a=string(pattern="^(a$")), "group without end"),
        ({"patternProperties": {"(a{999}){999}": {}}}, "steps"),
        (of(a=string(pattern=7)), "no text"),
        (listed(listed(listed(string(), maxItems=2_000), maxItems=2_000), maxItems=2_000), "written out"),
        (listed(string(), minItems=10**9), "no number"),
        (listed(string(), maxItems=500_000), "written out"),
        (string(maxLength=10**18), "no number"),
        (string(maxLength=1e400), "no number"),
        (string(maxLength=-1), "no number"),
        (string(maxLength=2.5), "whole"),
        (string(minLength=5, maxLength=2), "above"),
        (listed({}, minItems=5, maxItems=0), "above"),
        ({"type": "integer", "minimum": 5, "maximum": 2}, "above"),
        ({"enum": [f"v{n}" for n in range(100_000)]}, "enum values"),
        (of(**{f"p{n}": {"enum": list(range(100))} for n in range(100)}), "enum values"),
        ({"enum": []}, "without values"),
        ({"anyOf": [{"const": n} for n in range(20_000)]}, "branches"),
        ({"allOf": []}, "no list"),
        (of(**{f"p{n}": {} for n in range(501)}), "properties"),
        (of(**{f"p{n}": of(**{f"q{n}": {} for n in range(500)}) for n in range(11)}), "properties"),
        (of(**{"x" * 200_000: {}}), "characters"),
        ({"const": ["x" * 200_000]}, "characters"),
        (referring(DOUBLING | {"d40": string()}, "#/$defs/d0"), "written out"),
        (referring({"a": {"$ref": "#/$defs/a"}}, "#/$defs/a"), "itself"),
        (
            referring({"a": {"$ref": "#/$defs/b"}, "b": {"anyOf": [string(), {"$ref": "#/$defs/a"}]}}, "#/$defs/a"),
            "itself",
        ),
        ({"$ref": "#"}, "itself"),
        ({"$ref": "#/$defs/nothing"}, "nothing"),
        ({"$ref": "https://example.org/schema.json"}, "somewhere else"),
        ({"$ref": "file:///etc/passwd"}, "somewhere else"),
        ({"$ref": 5}, "somewhere else"),
        ({"$defs": {"name": {"$anchor": "name"}}, "$ref": "#name"}, "no path"),
        ({"properties": ["a"]}, "no object"),
        (listed("x"), "no schema"),
        (
            referring({f"d{n}": {"$ref": f"#/$defs/d{n + 1}"} for n in range(200)} | {"d200": {}}, "#/$defs/d0"),
            "levels",
        ),
    ],
)
def test_schemas_that_expand_without_bounds_are_refused_at_once(schema: Any, says: str) -> None:
    began = time.process_time()
    with pytest.raises(InvalidRequest) as raised:
        Measured().add(schema, "here")
    assert says in raised.value.message
    assert raised.value.param == "here"
    assert time.process_time() - began < 0.5


def test_the_schemas_of_a_request_are_measured_together() -> None:
    measured = Measured()
    many = of(a={"enum": list(range(400))})
    measured.add(many, "one")
    measured.add(many, "two")
    with pytest.raises(InvalidRequest) as raised:
        measured.add(many, "three")
    assert raised.value.param == "three"


@pytest.mark.parametrize(
    ("pattern", "steps"),
    [
        ("", 1),
        ("^abc$", 3),
        ("a{3}", 3),
        ("a{2,5}?", 5),
        ("a{2,}", 3),
        ("(ab|c){10}", 30),
        ("(?:a{10}){10}", 100),
        (r"\d{3}-\w+", 5),
        (r"[a-z\]]{4}[^]x]", 5),
        (r"\u00e9\p{L}{2}", 3),
        ("{a}", 3),
        ("a{x}", 4),
        ("(?=a)b(?<!c)", 3),
        ("(?P<year>[0-9]{4})", 4),
    ],
)
def test_steps_are_counted_with_repetitions_written_out(pattern: str, steps: int) -> None:
    assert pattern_steps(pattern) == steps


@pytest.mark.parametrize(
    "pattern",
    [
        *("(a{0,300}){0,300}", "a{100000}", "a{99999999999999999999}", "a{5,2}", "*a", "a**", "a|+", "(", ")", "[a"),
        *("a\\", "(" * 100 + "a" + ")" * 100, "a" * 5_000, "(" * 2_000),
    ],
)
def test_patterns_that_are_none_or_too_large_are_refused(pattern: str) -> None:
    with pytest.raises(PatternRefused):
        pattern_steps(pattern)


@pytest.mark.parametrize(
    ("pattern", "whole"),
    [
        ("^[A-Z]{3}$", "^[A-Z]{3}$"),
        ("[A-Z]{3}", "^.*[A-Z]{3}.*$"),
        ("^a", "^a.*$"),
        ("a$", "^.*a$"),
        ("a|b", "^.*(a|b).*$"),
        ("^(a|b)$", "^(a|b)$"),
        (r"^a[$^]\$$", r"^a[$^]\$$"),
        (r"\^a\$", r"^.*\^a\$.*$"),
        ("", "^.*.*$"),
        ("^a|b$", None),
        ("(^a|b)", None),
        ("a$b", None),
    ],
)
def test_a_pattern_is_written_for_the_whole_text(pattern: str, whole: str | None) -> None:
    assert anchored(pattern) == whole


@pytest.mark.parametrize("pattern", ["(?=a)b", "(?<!a)b", r"\bword\b", r"(a)\1", "(?P<n>a)", r"(?<n>a)\k<n>"])
def test_what_depends_on_what_stands_around_is_not_regular(pattern: str) -> None:
    assert not is_regular(pattern)


@pytest.mark.parametrize("pattern", ["(?:a|b)+", r"\d\.[(?=]", r"\\b", "^x$"])
def test_what_depends_on_nothing_else_is_regular(pattern: str) -> None:
    assert is_regular(pattern)


def test_recursion_is_found() -> None:
    assert is_recursive(TREE)
    assert is_recursive(of(next={"$ref": "#"}))
    assert not is_recursive(referring({"a": string(), "b": of(c={"$ref": "#/$defs/a"})}, "#/$defs/b"))
    assert not is_recursive(of(a={"$ref": "#/$defs/x"}, b={"$ref": "#/$defs/x"}) | {"$defs": {"x": string()}})


def test_definitions_can_stand_where_they_are_referred_to() -> None:
    schema = {
        "$defs": {"city": of(name={"$ref": "#/$defs/name"}), "name": string()},
        **of(home={"$ref": "#/$defs/city", "description": "Where"}, names=listed({"$ref": "#/$defs/name"})),
    }
    inlined = with_definitions_inlined(schema)
    assert inlined == of(home=of(name=string()) | {"description": "Where"}, names=listed(string()))
    assert "$ref" not in json.dumps(inlined)
    # Names of the caller's own are no keywords.
    named = of(**{"$ref": string(), "definitions": string(), "pattern": string()}) | {"default": {"$ref": "#/x"}}
    assert with_definitions_inlined(named) == named


def test_a_recursive_definition_that_nothing_refers_to_is_left_out() -> None:
    unused = {"$defs": {"tree": of(next={"$ref": "#/$defs/tree"})}}
    schema = of(a=string() | unused) | unused
    assert not is_recursive(schema)
    assert with_definitions_inlined(schema) == of(a=string())
