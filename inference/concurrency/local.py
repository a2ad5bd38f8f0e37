"""How many requests each project and each user has in flight: in this process alone, or in all that share a table.

Taking is one step: of two requests in the same instant, whatever their processes, one is the first.
"""

import fcntl
import mmap
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal, Protocol

# By what they count against: ("project", its id) or ("user", his id); a person's browsers count apart.
Holder = tuple[Literal["project", "user", "browsers"], int]

FILE_NAME: Final = "in-flight"
# The table of each process has a count for each id up to this; ids that are a multiple of it apart count together.
IDS: Final = 1 << 20
COUNT_BYTES: Final = 4
COLUMN_BYTES: Final = 2 * IDS * COUNT_BYTES


class InFlight(Protocol):
    """The counts."""

    def take(self, holders: Sequence[Holder], limits: Sequence[int]) -> int | None:
        """Count a request for all of the holders; if one is at its limit, for none, and return which it is."""

    def give_back(self, holders: Sequence[Holder]) -> None:
        """Take what was counted off again."""


class InFlightHere:
    """The counts of a process that serves alone."""

    def __init__(self) -> None:
        self._counts: Counter[Holder] = Counter()

    def take(self, holders: Sequence[Holder], limits: Sequence[int]) -> int | None:
        """Do as ``InFlight`` says."""
        for number, (holder, limit) in enumerate(zip(holders, limits, strict=True)):
            if self._counts[holder] >= limit:
                return number
        self._counts.update(holders)
        return None

    def give_back(self, holders: Sequence[Holder]) -> None:
        """Do as ``InFlight`` says."""
        for holder in holders:
            self._counts[holder] -= 1
            if not self._counts[holder]:
                del self._counts[holder]


class InFlightTogether:
    """The counts of several processes of one machine, in a file that all of them map; each writes its own column.

    The system frees the file's lock when a process is killed; ``forget`` then frees what it had counted.
    """

    def __init__(self, path: Path, column: int) -> None:
        # For as long as the process lives, so nobody closes it.
        self._file = os.open(path, os.O_RDWR)
        self._counts = memoryview(mmap.mmap(self._file, 0)).cast("I")
        self._columns = range(0, len(self._counts), 2 * IDS)
        self._mine = self._columns[column]

    def take(self, holders: Sequence[Holder], limits: Sequence[int]) -> int | None:
        """Do as ``InFlight`` says."""
        rows = [_row(holder) for holder in holders]
        with _locked(self._file):
            for number, (row, limit) in enumerate(zip(rows, limits, strict=True)):
                if sum(self._counts[column + row] for column in self._columns) >= limit:
                    return number
            for row in rows:
                self._counts[self._mine + row] += 1
        return None

    def give_back(self, holders: Sequence[Holder]) -> None:
        """Do as ``InFlight`` says; without a lock, for nobody else writes this column."""
        for holder in holders:
            self._counts[self._mine + _row(holder)] -= 1


def create(path: Path, columns: int) -> None:
    """Make the file for so many processes, with nothing in flight. What is never counted takes no space."""
    with path.open("wb") as file:
        file.truncate(columns * COLUMN_BYTES)


def forget(path: Path, column: int) -> None:
    """Free what a process that is gone had counted."""
    with path.open("r+b") as file, _locked(file.fileno()):
        os.pwrite(file.fileno(), bytes(COLUMN_BYTES), column * COLUMN_BYTES)


def _row(holder: Holder) -> int:
    kind, number = holder
    assert kind != "browsers"
    return 2 * (number % IDS) + (kind == "user")


@contextmanager
def _locked(file: int) -> Iterator[None]:
    fcntl.flock(file, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)
