"""Bodies that were good once: a few of their values are another's, gone, doubled, absurd, endless or broken."""

import json
from collections.abc import Iterator
from random import Random
from typing import Any, Final

Steps = tuple[str | int, ...]


class Raw(str):
    """What is written as it is."""

    __slots__ = ()


MOST_CHARACTERS: Final = 20_000
DEPTHS: Final = (60, 63, 64, 65, 90, 100, 200, 400, 700, 900, 980, 5_000)
# Of each kind of JSON value, what nobody expects.
ODD: Final[tuple[Any, ...]] = (
    *(None, True, False, {}, [], "", [[]], [{}], {"": None}, {"type": []}, {"type": {}}, [None], ["x"], {"a": 1}),
    *(0, -1, 1, 0.5, -0.0, 2**31, 2**63, 2**64, -(2**63) - 1, 10**30, 10**400, 1e308, 5e-324),
    *(Raw("1e999"), Raw("NaN"), Raw("-Infinity"), Raw("01"), Raw('"\\ud800"'), Raw('"\\udc00\\ud800"'), Raw("'x'")),
    *("\x00", "a\x00b", "\u2028", "\ud83e\udd8a", "🦊" * 100, "x" * 300, "x" * 100_000, "9" * 5_000, "null", "1"),
    *("auto", "required", "function", "custom", "json_schema", "text", "image_url", "tool", "assistant", "data:,"),
    *("#", "#/", "#/$defs/0", "(" * 200, "[a-z", "(a+)+$", "x{1,99999}"),
)
NAMES: Final = ("", "\x00", "a`b", "a\nb", "a.b[0]", "type", "$ref", "content", "🦊", "x" * 300)


def mutated(good: dict[str, Any], random: Random) -> bytes:
    """Return a good body with one to four changes."""
    body: Any = json.loads(json.dumps(good))
    doubled: list[int] = []
    for _ in range(random.randint(1, 4)):
        # What has become large once is not made larger by being in a list a thousand times.
        if len(str(body)) < MOST_CHARACTERS:
            body = _changed(body, random, doubled)
    return _written(body, doubled).encode("utf-8", "surrogatepass")


def _changed(body: Any, random: Random, doubled: list[int]) -> Any:
    *way, last = random.choice([*_paths(body)] or [(None,)])
    if last is None:
        return random.choice(ODD)
    parent = body
    for step in way:
        parent = parent[step]
    value = parent[last]
    change = random.randrange(9)
    if change == 0:
        del parent[last]
    elif change == 1:
        doubled.append(id(parent))
    elif change == 2:
        parent[last] = _deep(random)
    elif change == 3:
        parent[last] = random.choice(([value], [value, value], {"value": value}, {random.choice(NAMES): value}))
    elif change == 4:
        parent[last] = [value] * (random.choice((3, 130, 600, 2_100)) if len(str(value)) < 1_000 else 2)
    elif change == 5 and isinstance(parent, dict):
        parent[random.choice(NAMES)] = parent.pop(last) if random.random() < 0.5 else random.choice(ODD)
    elif change == 6 and isinstance(value, list):
        parent[last] = value[0] if value else value
    else:
        parent[last] = random.choice(ODD)
    return body


def _paths(value: Any, way: Steps = ()) -> Iterator[Steps]:
    """Yield where something is, all the way down to what is a few thousand times the same."""
    inside = value.items() if isinstance(value, dict) else enumerate(value[:8]) if isinstance(value, list) else ()
    for step, inner in inside:
        yield (*way, step)
        yield from _paths(inner, (*way, step))


def _deep(random: Random) -> Raw:
    depth = random.choice(DEPTHS)
    opening, closing = random.choice((("[", "]"), ('{"a":', "}"), ('{"items":', "}"), ('{"not":', "}")))
    return Raw(opening * depth + random.choice(("1", "{}", "[]", "")) + closing * depth)


def _written(value: Any, doubled: list[int]) -> str:
    """Write a value as JSON; objects that are doubled have each key twice."""
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, dict):
        fields = [f"{json.dumps(name)}:{_written(inner, doubled)}" for name, inner in value.items()]
        return f"{{{','.join(fields * 2 if id(value) in doubled else fields)}}}"
    if isinstance(value, list):
        return f"[{','.join(_written(inner, doubled) for inner in value)}]"
    return json.dumps(value)
