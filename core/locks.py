"""The identity of a DATA_DIR, and locks between processes on it, which end with their process, however it ends."""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path


class Taken(Exception):
    """Another process holds the lock."""


@contextmanager
def locked(path: Path, *, wait: bool) -> Iterator[None]:
    """Hold the lock while the block runs. Raises Taken when another process has it and we do not wait."""
    with path.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise Taken from None
        yield


def identity(folder: Path) -> str:
    """Return an id of the folder itself: a copy of it has another one, and so has another in its place.

    Kept in a file, which is made by the first who asks.
    """
    with (folder / "identity").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        token = file.read()
        if not token:
            token = secrets.token_hex(16)
            file.write(token)
        at = os.fstat(file.fileno())
    return sha256(f"{token} {at.st_dev} {at.st_ino}".encode()).hexdigest()[:32]
