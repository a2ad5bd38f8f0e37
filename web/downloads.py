"""Tables of any length as files, sent as fast as they are taken and never whole in memory."""

import csv
import re
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from io import StringIO
from itertools import islice
from typing import Final

from asgiref.sync import sync_to_async
from django.http import StreamingHttpResponse

LINES_PER_WRITE: Final = 500
# What a spreadsheet would take for the beginning of a formula, and the plain numbers that begin like one.
_FORMULAS: Final = ("=", "+", "-", "@", "\t", "\r")
_NUMBER: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?", re.ASCII)


def download(lines: Iterable[str], filename: str, content_type: str) -> StreamingHttpResponse:
    """Send text, whose pieces may come from the database, as a file that is kept by nobody on the way."""
    headers = {"Content-Disposition": f'attachment; filename="{filename}"', "Cache-Control": "no-store"}
    return StreamingHttpResponse(_written(iter(lines)), content_type=content_type, headers=headers)


def csv_lines(heading: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """Write a table as RFC 4180 has it. Texts that a spreadsheet would compute get an apostrophe before them.

    Every text is quoted: to some spreadsheets a semicolon ends a cell.
    """
    written = StringIO()
    writer = csv.writer(written, quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow(heading)
    for row in rows:
        writer.writerow([_plain(cell) if isinstance(cell, str) else cell for cell in row])
        yield _taken(written)
    yield _taken(written)


def _plain(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULAS) and not _NUMBER.fullmatch(text) else text


def _taken(written: StringIO) -> str:
    text = written.getvalue()
    written.seek(0)
    written.truncate()
    return text


def _next(lines: Iterator[str]) -> bytes:
    return "".join(islice(lines, LINES_PER_WRITE)).encode()


async def _written(lines: Iterator[str]) -> AsyncIterator[bytes]:
    while some := await sync_to_async(_next)(lines):
        yield some
