"""The file of settlements: what was written is read as it was, whatever else is on the disk."""

import os
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest

from credits import ledger
from credits.ledger.journal_file import FILE_BYTES, JournalFile, Record, waiting_in


def settlement(write: ledger.Write | None = None) -> ledger.Settle:
    return ledger.prepare_settlement(uuid4(), 5, price="7", write=write)


def read_again(file: JournalFile) -> list[Record]:
    """Read the file as its finder does, once its process is dead."""
    file.close(is_done=False)
    found = JournalFile.left_behind(file.path)
    assert found
    records = found.records()
    found.close(is_done=False)
    return records


@pytest.fixture
def file(tmp_path: Path) -> JournalFile:
    return JournalFile.create(tmp_path / "journal" / "1.journal")


def test_settlements_are_read_as_they_were_written(file: JournalFile) -> None:
    moment = datetime(2026, 1, 31, 23, 59, 59, 123456, tzinfo=UTC)
    then = ledger.Write("UPDATE b SET c = %s", (b"\0bytes",))
    write = ledger.Write(
        "INSERT INTO a VALUES (%s, %s, %s, %s, %s, %s)", (uuid4(), moment, 2**62, "é", None, True), then
    )
    written = [settlement(write), settlement()]
    file.append(written[:1])
    file.append(written[1:])
    read = [record.settle for record in read_again(file)]
    assert [(each.hold_id, each.cost_nano, each.price, each.write) for each in read] == [
        (each.hold_id, each.cost_nano, each.price, each.write) for each in written
    ]


def test_only_its_user_can_read_it(file: JournalFile) -> None:
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert file.path.parent.stat().st_mode & 0o777 == 0o700


def test_what_is_done_is_not_read_again(file: JournalFile) -> None:
    done, left = file.append([settlement(), settlement()])
    assert done
    assert left
    file.mark_done(done)
    assert len(waiting_in(file.path)) == 1
    assert [record.settle.hold_id for record in read_again(file)] == [left.settle.hold_id]


def test_a_record_that_was_cut_off_ends_the_file(file: JournalFile) -> None:
    first, second = file.append([settlement(), settlement()])
    assert first
    assert second
    with file.path.open("r+b") as raw:
        raw.seek(second.offset + 20)
        raw.write(b"\0\0\0\0")
    assert [record.settle.hold_id for record in read_again(file)] == [first.settle.hold_id]


def test_it_never_grows_and_the_last_room_is_for_charges_alone(file: JournalFile) -> None:
    large = ledger.Write("INSERT INTO a VALUES (%s)", (b"x" * 1_000_000,))
    records = file.append([settlement(large) for _ in range(20)])
    assert all(records)
    assert file.path.stat().st_size == FILE_BYTES
    read = [record.settle.write for record in read_again(file)]
    assert read[:6] == [large] * 6
    assert read[6:] == [None] * 14


def test_what_has_no_room_is_told(file: JournalFile) -> None:
    large = settlement(ledger.Write("INSERT INTO a VALUES (%s)", (b"x" * 6_000_000,)))
    kept = [record for record in file.append([large, *(settlement() for _ in range(60_000))]) if record]
    assert 10_000 < len(kept) < 60_000
    assert len(read_again(file)) == len(kept)


def test_it_is_written_from_its_start_again(file: JournalFile) -> None:
    for record in file.append([settlement() for _ in range(3)]):
        assert record
        file.mark_done(record)
    file.begin_anew()
    (again,) = file.append([settlement()])
    assert again
    assert again.offset == 0
    assert [record.settle.hold_id for record in read_again(file)] == [again.settle.hold_id]


def test_its_room_is_taken_when_it_is_made(file: JournalFile) -> None:
    stat = os.stat(file.path)
    assert stat.st_blocks * 512 >= FILE_BYTES
