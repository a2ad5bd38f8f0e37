"""What a typed request has a place for, as a tree to walk a decoded body with."""

from typing import Any, NamedTuple

import msgspec
from msgspec import inspect


class Record(NamedTuple):
    """What a JSON value may hold: ``items`` of a list, ``fields`` of an object; None where anything may be.

    An object of several kinds says by ``tag`` which of ``kinds`` it is.
    """

    items: "Record | None" = None
    fields: "dict[str, Record] | None" = None
    tag: str | None = None
    kinds: "dict[str, Record] | None" = None


ANYTHING = Record()


def fields_of(struct: type[msgspec.Struct]) -> dict[str, Record]:
    """Return the shape of each field of a struct."""
    return _shape(inspect.type_info(struct)).fields or {}


def prune(value: Any, shape: Record, path: str) -> list[str]:
    """Remove from a decoded value, in place, the keys that its shape has no place for; return where they were."""
    removed: list[str] = []
    if isinstance(value, list) and shape.items:
        for place, item in enumerate(value):
            removed += prune(item, shape.items, f"{path}[{place}]")
    elif isinstance(value, dict):
        kind = value.get(shape.tag) if shape.tag else None
        known = shape.kinds.get(kind, ANYTHING) if shape.kinds and isinstance(kind, str) else shape
        for name in list(value) if known.fields is not None else ():
            if name not in (known.fields or {}):
                if name != known.tag:
                    del value[name]
                    removed.append(f"{path}.{name}")
            else:
                removed += prune(value[name], (known.fields or {})[name], f"{path}.{name}")
    return removed


def _shape(type_: inspect.Type) -> Record:
    if isinstance(type_, inspect.StructType):
        fields = {field.encode_name: _shape(field.type) for field in type_.fields}
        return Record(fields=fields, tag=type_.tag_field)
    if isinstance(type_, inspect.ListType):
        return Record(items=_shape(type_.item_type))
    if not isinstance(type_, inspect.UnionType):
        return ANYTHING
    shapes = [_shape(each) for each in type_.types]
    tagged = {
        str(each.tag): _shape(each) for each in type_.types if isinstance(each, inspect.StructType) and each.tag_field
    }
    tag = next((shape.tag for shape in shapes if shape.tag), None)
    return Record(
        items=next((shape.items for shape in shapes if shape.items), None),
        fields=None if tagged else next((shape.fields for shape in shapes if shape.fields), None),
        tag=tag,
        kinds=tagged or None,
    )
