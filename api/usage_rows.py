"""Rows of usage as /v1 writes them, in JSON and as CSV; and the ids by which a list of them goes on."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as BinasciiError
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict
from datetime import date
from typing import Annotated, Final

import msgspec

from api.serializers_billing import dollars
from inference.downloads import csv_lines
from inference.errors import InvalidRequest
from inference.usage import Amount, Dimension, Row

_PREFIX: Final = "usage_"
_COUNTS: Final = ("requests", "errors", "prompt_tokens", "cached_tokens", "completion_tokens")


class _Place(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Which group a row is for; what was not grouped by is left out."""

    day: date | None = None
    model: str | None = None
    project: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] | None = None
    key: str | None = None


def fields(row: Row, by: Collection[Dimension], projects: Mapping[int, str]) -> dict[str, object]:
    """Return a row as JSON shows it."""
    amount = row.amount
    return {
        "id": _id(row),
        "object": "usage",
        **dict(zip(by, _names(row, by, projects), strict=True)),
        **{name: getattr(amount, name) for name in _COUNTS},
        "cost": {"nano": amount.cost_nano, "usd": dollars(amount.cost_nano)},
    }


def csv(rows: Collection[Row], by: Collection[Dimension], projects: Mapping[int, str]) -> Iterator[str]:
    """Write a table: what was grouped by, then the sums."""
    heading = [*by, *_COUNTS, "cost_nano", "cost_usd"]
    return csv_lines(heading, ([*_names(row, by, projects), *_sums(row.amount)] for row in rows))


def place(row_id: str, by: Collection[Dimension]) -> Row:
    """Return the group that a row's id stands for. Raises InvalidRequest for what is no id of this grouping."""
    try:
        written = urlsafe_b64decode(row_id.removeprefix(_PREFIX).encode("ascii"))
        found = msgspec.json.decode(written, type=_Place)
    except (UnicodeEncodeError, BinasciiError, msgspec.DecodeError):
        found = None
    row = None if found is None else Row(Amount(), **msgspec.structs.asdict(found))
    if row is None or _id(row) != row_id or not _is_of(row, by):
        raise InvalidRequest("after is the id of a row on the page before, with the same group_by.", param="after")
    return row


def _id(row: Row) -> str:
    place = _Place(row.day, row.model, row.project, row.key)
    return _PREFIX + urlsafe_b64encode(msgspec.json.encode(place)).decode()


def _is_of(row: Row, by: Collection[Dimension]) -> bool:
    """Whether a row is of this grouping, and its texts are such as a database will take."""
    texts = (row.model or "", row.key or "")
    return all(text.isprintable() for text in texts) and all(
        (getattr(row, dimension) is not None) == (dimension in by) for dimension in Dimension
    )


def _names(row: Row, by: Collection[Dimension], projects: Mapping[int, str]) -> list[object]:
    """Return what a row is for, as callers name it; no key means the browser."""
    names = {
        Dimension.DAY: row.day.isoformat() if row.day else None,
        Dimension.MODEL: row.model,
        Dimension.PROJECT: projects.get(row.project) if row.project is not None else None,
        Dimension.KEY: row.key or None,
    }
    return [names[dimension] for dimension in by]


def _sums(amount: Amount) -> list[object]:
    counts = asdict(amount)
    return [*(counts[name] for name in _COUNTS), amount.cost_nano, dollars(amount.cost_nano)]
