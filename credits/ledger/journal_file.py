"""A file of settlements that wait for the database: one process's, of a fixed size, whole after a power failure.

Its room is taken when it is made, so that a full disk does not keep a settlement from being written. Each record is its
length, the CRC32 of its content, whether it is done (one byte), and its content in MessagePack; behind the last stands
a length of 0. A record that was being written when the machine stopped does not fit its CRC32, and ends the file.
"""

import fcntl
import logging
import os
import struct
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final, NamedTuple, Self
from uuid import UUID

import msgspec

from core.locks import locked
from credits.ledger.book import Write
from credits.ledger.operations import Settle

logger = logging.getLogger(__name__)

FILE_BYTES: Final = 8 * 1024 * 1024
# The rest is for records without the caller's rows, of which it has room for some ten thousand.
_FULL_RECORD_BYTES: Final = FILE_BYTES * 3 // 4
_HEAD: Final = struct.Struct("<IIB")
_END: Final = bytes(_HEAD.size)
_UUID_CODE: Final = 1


class _Content(msgspec.Struct, array_like=True):
    """A settlement as it is written."""

    written_at: float
    hold: UUID
    cost_nano: int
    price: str
    writes: list[tuple[str, list[Any]]]


class Record(NamedTuple):
    """A settlement in the file: where it stands, and when it was written (Unix time)."""

    offset: int
    written_at: float
    settle: Settle


class JournalFile:
    """One file, locked by whoever has it open; for one thread at a time."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor
        self._end = 0

    @classmethod
    def create(cls, path: Path) -> Self:
        """Make a process's file, with its room. Raises OSError."""
        path.parent.mkdir(mode=0o700, exist_ok=True)
        with _folder_locked(path):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        try:
            _take_room(descriptor)
            os.fsync(descriptor)
            _sync_folder(path.parent)
        except BaseException:
            path.unlink()
            os.close(descriptor)
            raise
        return cls(path, descriptor)

    @classmethod
    def left_behind(cls, path: Path) -> Self | None:
        """Open a file whose process is dead; None if that lives, or somebody else has opened it already."""
        with _folder_locked(path):
            try:
                descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            except FileNotFoundError:
                return None
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                return None
            return cls(path, descriptor)

    def append(self, settlements: Sequence[Settle]) -> list[Record | None]:
        """Write settlements, and return once they are on the disk. None for each that there is no room for.

        Where there is little room, a settlement is written without its caller's rows. Raises OSError.
        """
        now = time.time()
        records: list[Record | None] = []
        written = bytearray()
        for settle in settlements:
            offset = self._end + len(written)
            piece = _packed(settle, now)
            if offset + len(piece) > _FULL_RECORD_BYTES:
                piece = _packed(Settle(settle.hold_id, settle.cost_nano, settle.price, None), now)
            if offset + len(piece) + len(_END) > FILE_BYTES:
                records.append(None)
                continue
            written += piece
            records.append(Record(offset, now, settle))
        _write(self._descriptor, bytes(written) + _END, self._end)
        os.fsync(self._descriptor)
        self._end += len(written)
        return records

    def records(self) -> list[Record]:
        """Return what is not done, and go on writing behind it. Raises OSError."""
        records = []
        for offset, size, is_done, content in _read(self._descriptor, self.path):
            self._end = offset + size
            if not is_done:
                records.append(Record(offset, content.written_at, _settle(content)))
        return records

    def mark_done(self, record: Record) -> None:
        """Note that the database has a record; this need not outlast a power failure. Raises OSError."""
        os.pwrite(self._descriptor, b"\1", record.offset + _HEAD.size - 1)

    def begin_anew(self) -> None:
        """Write from the start again, when all is done. What lies there is done, until it is written over."""
        self._end = 0

    def close(self, *, is_done: bool) -> None:
        """Let go of the file; one of which all is done is removed."""
        if is_done:
            self.path.unlink(missing_ok=True)
        os.close(self._descriptor)


def waiting_in(path: Path) -> list[float]:
    """Return when each settlement was written that waits in a file, whoever has it open; nothing if it is gone."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return []
    try:
        return [content.written_at for _, _, is_done, content in _read(descriptor, path) if not is_done]
    finally:
        os.close(descriptor)


def _read(descriptor: int, path: Path) -> Iterator[tuple[int, int, bool, _Content]]:
    """Yield each record's offset, its size, whether it is done, and its content."""
    offset = 0
    while offset + _HEAD.size <= FILE_BYTES:
        head = os.pread(descriptor, _HEAD.size, offset)
        if len(head) < _HEAD.size:
            return
        length, checksum, is_done = _HEAD.unpack(head)
        if not length:
            return
        content = os.pread(descriptor, min(length, FILE_BYTES), offset + _HEAD.size)
        if len(content) != length or zlib.crc32(content) != checksum:
            logger.warning("The journal %s ends in a record that was not written whole", path.name)
            return
        try:
            decoded = _decode(content)
        except (msgspec.MsgspecError, ValueError):
            logger.exception("The journal %s has a record at %d that cannot be read", path.name, offset)
        else:
            yield offset, _HEAD.size + length, bool(is_done), decoded
        offset += _HEAD.size + length


def _packed(settle: Settle, written_at: float) -> bytes:
    writes = []
    write = settle.write
    while write:
        writes.append((write.sql, [_tagged(value) for value in write.row]))
        write = write.then
    content = _encode(_Content(written_at, settle.hold_id, settle.cost_nano, settle.price, writes))
    return _HEAD.pack(len(content), zlib.crc32(content), 0) + content


def _settle(content: _Content) -> Settle:
    write: Write | None = None
    for sql, row in reversed(content.writes):
        write = Write(sql, tuple(row), write)
    return Settle(content.hold, content.cost_nano, content.price, write)


def _tagged(value: object) -> object:
    """Return a value of a row so that it is read as what it was."""
    return msgspec.msgpack.Ext(_UUID_CODE, value.bytes) if isinstance(value, UUID) else value


def _untagged(code: int, data: memoryview) -> object:
    if code != _UUID_CODE:
        raise ValueError(f"an unknown kind of value, {code}")
    return UUID(bytes=bytes(data))


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(_Content, ext_hook=_untagged).decode


def _write(descriptor: int, content: bytes, offset: int) -> None:
    while content:
        count = os.pwrite(descriptor, content, offset)
        content, offset = content[count:], offset + count


def _take_room(descriptor: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, FILE_BYTES)
    else:
        _write(descriptor, bytes(FILE_BYTES), 0)


def _folder_locked(path: Path) -> AbstractContextManager[None]:
    """Keep others from opening the file between its making and its lock."""
    return locked(path.with_name("journal.lock"), wait=True)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
