"""What a JSON schema may ask of an engine: bounded by what it expands to, before anybody else reads it.

Engines turn a schema into an automaton. Repetitions inside repetitions, references that double, a hundred thousand
values or branches: a few bytes of these take minutes and gigabytes there, at everybody's cost.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final
from urllib.parse import unquote

import msgspec

from inference.errors import InvalidRequest
from inference.patterns import PatternRefused, pattern_steps

# Each part of a schema and each step of a pattern counts one; what is repeated counts as often as it may be, and what
# is referred to counts wherever it is.
MAX_WEIGHT: Final = 50_000
# How many parts lie inside each other, references followed.
MAX_DEPTH: Final = 96
# Of all schemas of a request together; as in OpenAI's API. llama.cpp takes a second of a processor for each token that
# may be any of some thousand values or branches, or the name of any of some hundred properties.
MAX_PROPERTIES: Final = 5_000
MAX_PROPERTIES_OF_ONE: Final = 500
MAX_VALUES: Final = 1_000
MAX_CHARACTERS: Final = 120_000
MAX_BRANCHES: Final = 1_000
# Longer texts are as good as unbounded ones; a hundred characters count one.
MAX_LENGTH: Final = 1_000_000
CHARACTERS_PER_STEP: Final = 100

_COUNTED: Final = ("Length", "Items", "Properties", "Contains")
_DEFINITIONS: Final = ("$defs", "definitions")
# By names of the caller's own.
_NAMED: Final = ("properties", "patternProperties", "dependentSchemas")
_SINGLE: Final = ("additionalProperties", "unevaluatedProperties", "propertyNames")
_OF_A_LIST: Final = ("items", "prefixItems", "additionalItems", "unevaluatedItems", "contains")
# What says more about the same thing, rather than about a part of it.
_SAME: Final = ("anyOf", "oneOf", "allOf", "not", "if", "then", "else")
_BRANCHES: Final = ("anyOf", "oneOf", "allOf")


class Measured:
    """What the schemas of one request have in all."""

    def __init__(self) -> None:
        self._weight = self._properties = self._values = self._characters = self._branches = 0

    def add(self, schema: Any, path: str) -> None:
        """Measure one more schema, whose place in the request is ``path``. Raises InvalidRequest."""
        try:
            self._weight += _Measure(self, schema).weight
            self._check(self._weight, MAX_WEIGHT, "parts, with repetitions and references written out")
        except _Refused as refused:
            raise InvalidRequest(f"The schema {refused}.", param=path) from None

    def count(self, *, properties: int = 0, values: int = 0, characters: int = 0, branches: int = 0) -> None:
        """Count what a part has. Raises _Refused."""
        self._properties += properties
        self._values += values
        self._characters += characters
        self._branches += branches
        self._check(self._properties, MAX_PROPERTIES, "properties")
        self._check(self._values, MAX_VALUES, "enum values")
        self._check(self._characters, MAX_CHARACTERS, "characters in its names and values")
        self._check(self._branches, MAX_BRANCHES, "branches")

    @staticmethod
    def _check(count: int, most: int, what: str) -> None:
        if count > most:
            raise _Refused(f"has more than {most} {what}")


class _Refused(ValueError):
    """The message goes on with the sentence "The schema"."""


class _Measure:
    """Measures one schema."""

    def __init__(self, totals: Measured, root: Any) -> None:
        self._totals = totals
        self._root = root
        # By its address: the weight of what was referred to before; None while it is being measured.
        self._referred: dict[str, int | None] = {}
        self.is_recursive = False
        self.weight = self._weigh(root, 0, frozenset())

    def _weigh(self, schema: Any, depth: int, within: frozenset[str]) -> int:
        """Return what a part weighs. ``within`` are the references that lead to the same thing. Raises _Refused."""
        if isinstance(schema, bool):
            return 1
        if not isinstance(schema, dict):
            raise _Refused("has a part that is no schema")
        if depth > MAX_DEPTH:
            raise _Refused(f"goes more than {MAX_DEPTH} levels deep, references followed")
        weight = 1 + self._steps(schema)
        if schema.get("$ref") is not None:
            weight += self._weigh_reference(schema["$ref"], depth, within)
        for keyword in _SAME:
            weight += sum(self._weigh(each, depth + 1, within) for each in self._parts(schema, keyword))
        for keyword in (*_NAMED, *_SINGLE):
            weight += sum(self._weigh(each, depth + 1, frozenset()) for each in self._parts(schema, keyword))
        times = max(1, _count(schema, "maxItems") or _count(schema, "minItems") or 1)
        for keyword in _OF_A_LIST:
            weight += times * sum(self._weigh(each, depth + 1, frozenset()) for each in self._parts(schema, keyword))
        if weight > MAX_WEIGHT:
            raise _Refused(f"has more than {MAX_WEIGHT} parts, with repetitions and references written out")
        return weight

    def _steps(self, schema: dict[str, Any]) -> int:
        """Return what a part weighs by itself. Raises _Refused."""
        _check_limits(schema)
        steps = max(_count(schema, "maxLength"), _count(schema, "minLength")) // CHARACTERS_PER_STEP
        values = schema.get("enum")
        if values is not None:
            if not isinstance(values, list) or not values:
                raise _Refused("has an enum without values")
            self._totals.count(values=len(values), characters=sum(_characters(value) for value in values))
            steps += len(values)
        if "const" in schema:
            self._totals.count(characters=_characters(schema["const"]))
        if schema.get("pattern") is not None:
            steps += _pattern_steps(schema["pattern"])
        if isinstance(schema.get("patternProperties"), dict):
            steps += sum(map(_pattern_steps, schema["patternProperties"]))
        return steps

    def _parts(self, schema: dict[str, Any], keyword: str) -> Iterator[Any]:
        """Yield the schemas under a keyword. Raises _Refused."""
        found = schema.get(keyword)
        if found is None:
            return
        if keyword in _NAMED:
            if not isinstance(found, dict):
                raise _Refused(f"has {keyword} that are no object")
            if len(found) > MAX_PROPERTIES_OF_ONE:
                raise _Refused(f"has an object with more than {MAX_PROPERTIES_OF_ONE} properties")
            self._totals.count(properties=len(found), characters=sum(map(len, found)))
            yield from found.values()
        elif keyword in _BRANCHES or isinstance(found, list):
            if not isinstance(found, list) or not found:
                raise _Refused(f"has {keyword} that is no list of schemas")
            self._totals.count(branches=len(found))
            yield from found
        else:
            yield found

    def _weigh_reference(self, reference: Any, depth: int, within: frozenset[str]) -> int:
        """Return what a reference weighs; one that leads back to where it stands weighs nothing more."""
        if not isinstance(reference, str) or not reference.startswith("#"):
            raise _Refused("has a $ref to somewhere else: only those that begin with # are followed")
        if reference in within:
            raise _Refused("has a $ref that leads to itself")
        if reference in self._referred:
            known = self._referred[reference]
            self.is_recursive |= known is None
            return known or 0
        self._referred[reference] = None
        weight = self._weigh(_found(self._root, reference), depth + 1, within | {reference})
        self._referred[reference] = weight
        return weight


def is_recursive(schema: Any) -> bool:
    """Whether a reference in a schema leads back to where it stands. Raises InvalidRequest for one that is refused."""
    try:
        return _Measure(Measured(), schema).is_recursive
    except _Refused as refused:
        raise InvalidRequest(f"The schema {refused}.") from None


def mapped(
    schema: Any, change: Callable[[dict[str, Any]], dict[str, Any]], *, definitions: tuple[str, ...] = _DEFINITIONS
) -> Any:
    """Return a schema with each of its parts changed, the innermost first; what is no schema in it stays as it is.

    ``definitions`` are the keywords under which definitions are changed too.
    """
    if not isinstance(schema, dict):
        return schema
    written: dict[str, Any] = {}
    for keyword, value in schema.items():
        if keyword in (*_NAMED, *definitions) and isinstance(value, dict):
            written[keyword] = {name: mapped(each, change, definitions=definitions) for name, each in value.items()}
        elif keyword in (*_SINGLE, *_OF_A_LIST, *_SAME):
            is_list = isinstance(value, list)
            parts = [mapped(each, change, definitions=definitions) for each in (value if is_list else [value])]
            written[keyword] = parts if is_list else parts[0]
        else:
            written[keyword] = value
    return change(written)


def with_definitions_inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema without references, which must not be recursive: what they lead to stands in their place."""

    def inlined(part: dict[str, Any]) -> dict[str, Any]:
        kept = {keyword: each for keyword, each in part.items() if keyword not in ("$ref", *_DEFINITIONS)}
        if not isinstance(part.get("$ref"), str):
            return kept
        found = mapped(_found(schema, part["$ref"]), inlined, definitions=())
        return found | kept if isinstance(found, dict) else kept

    # A definition that nothing refers to may be recursive all the same.
    written: dict[str, Any] = mapped(schema, inlined, definitions=())
    return written


def _found(root: Any, reference: str) -> Any:
    """Follow a reference, a JSON pointer behind a #. Raises _Refused where there is nothing."""
    found = root
    for step in unquote(reference[1:]).split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(found, list) and name.isdecimal() and len(name) < 10 and int(name) < len(found):
            found = found[int(name)]
        elif isinstance(found, dict) and name in found:
            found = found[name]
        else:
            raise _Refused("has a $ref to nothing")
    if reference not in ("#", "") and not reference.startswith("#/"):
        raise _Refused("has a $ref that is no path from the schema's root, such as #/$defs/name")
    return found


def _count(schema: dict[str, Any], keyword: str) -> int:
    """Return a keyword's number; 0 where it is missing. Raises _Refused."""
    number = schema.get(keyword) or 0
    if isinstance(number, bool) or not isinstance(number, (int, float)) or not 0 <= number <= MAX_LENGTH:
        raise _Refused(f"has a {keyword} that is no number from 0 to {MAX_LENGTH}")
    if number != int(number):
        raise _Refused(f"has a {keyword} that is no whole number")
    return int(number)


def _check_limits(schema: dict[str, Any]) -> None:
    """Refuse limits that nothing can meet. Raises _Refused."""
    for what in _COUNTED:
        least, most = f"min{what}", f"max{what}"
        if _count(schema, least) > _count(schema, most) and schema.get(most) is not None:
            raise _Refused(f"has a {least} above its {most}")
    lowest, highest = schema.get("minimum"), schema.get("maximum")
    if isinstance(lowest, (int, float)) and isinstance(highest, (int, float)) and lowest > highest:
        raise _Refused("has a minimum above its maximum")


def _pattern_steps(pattern: Any) -> int:
    """Return the steps of a pattern. Raises _Refused."""
    if not isinstance(pattern, str):
        raise _Refused("has a pattern that is no text")
    try:
        return pattern_steps(pattern)
    except PatternRefused as refused:
        raise _Refused(f"has a pattern that {refused}") from None


def _characters(value: Any) -> int:
    return len(value) if isinstance(value, str) else len(msgspec.json.encode(value))
