"""Asks the other web processes of this site about the runs that they have; their names stand in the runs' ids.

Those of this machine listen on Unix sockets in a folder that only the site's own user can enter: a question is one JSON
object in a frame; the answer is another one, or as many as there are to tell. Those of other machines are asked over
Redis (``playground.remote_runs.redis_channel``), if there is one. A process that serves alone has no name, and asks
nobody.
"""

import asyncio
import os
import socket
import struct
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import msgspec
from django.conf import settings

from core.ids import process_name, process_of
from core.redis import RedisAway
from playground.remote_runs import redis_channel, remote_run
from playground.remote_runs.protocol import ANSWER_SECONDS, Question
from playground.remote_runs.redis_channel import ProcessUnreachable

# An address has room for 108 bytes on Linux, and for 104 elsewhere.
MAX_ADDRESS_BYTES: Final = 103
LENGTH: Final = struct.Struct(">I")


def folder() -> Path:
    """Return where the processes' sockets are."""
    return Path(settings.DATA_DIR) / "workers"


def may_have(run: str) -> bool:
    """Whether a run belongs to another process that may be there; costs a look into a folder at most."""
    mine, whose = process_name(), process_of(run)
    return bool(mine) and whose != mine and (_is_near(whose) or redis_channel.is_open())


def has(run: str) -> bool:
    """Ask whether a run is under way in another process. Blocks.

    One of this machine that gives no answer in time may have it; one that cannot be reached over Redis counts as gone.
    """
    return may_have(run) and _ask(Question("held", run))


def stop(run: str) -> None:
    """Have another process end a run, if it has it. Blocks until it has heard so."""
    if may_have(run):
        _ask(Question("stop", run))


async def follow(run: str, after: int) -> AsyncGenerator[dict[str, Any], None]:
    """Yield what another process tells of a run, from after chunk number ``after``.

    The last frame is the run's end; without it, the process does not have the run, or is gone.
    """
    if not may_have(run):
        return
    if not _is_near(process_of(run)):
        async with aclosing(remote_run.follow(run, after)) as frames:
            async for frame in frames:
                yield frame
        return
    with suppress(OSError, EOFError):
        reader, writer = await _connected(process_of(run))
        with closing(writer):
            writer.write(framed(Question("follow", run, after)))
            while True:
                yield msgspec.json.decode(await read_frame(reader))


def forget(name: str) -> None:
    """Remove what a process that is gone left in the folder."""
    _path(name).unlink(missing_ok=True)


def framed(message: object) -> bytes:
    """Return a message as it is sent."""
    body = msgspec.json.encode(message)
    return LENGTH.pack(len(body)) + body


async def read_frame(reader: asyncio.StreamReader) -> bytes:
    """Return the next message's body. Raises IncompleteReadError, an EOFError, where there is none."""
    (length,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
    return await reader.readexactly(length)


@contextmanager
def address(name: str) -> Iterator[str]:
    """Give the address of a process's socket while the block runs, also where the folder's own path is too long."""
    path = _path(name)
    if len(os.fsencode(path)) <= MAX_ADDRESS_BYTES:
        yield str(path)
        return
    opened = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{opened}/{path.name}"
    finally:
        os.close(opened)


def _path(name: str) -> Path:
    return folder() / f"{name}.sock"


def _is_near(name: str) -> bool:
    return _path(name).exists()


def _ask(question: Question) -> bool:
    if not _is_near(process_of(question.run)):
        with suppress(RedisAway, ProcessUnreachable):
            return bool(redis_channel.ask_from_thread(process_of(question.run), question))
        return False
    try:
        with socket.socket(socket.AF_UNIX) as peer, address(process_of(question.run)) as where:
            peer.settimeout(ANSWER_SECONDS)
            peer.connect(where)
            peer.sendall(framed(question))
            with peer.makefile("rb") as stream:
                (length,) = LENGTH.unpack(stream.read(LENGTH.size))
                return bool(msgspec.json.decode(stream.read(length)))
    except TimeoutError:
        return True
    except (OSError, struct.error, msgspec.DecodeError):
        # It has just ended.
        return False


async def _connected(name: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    peer = socket.socket(socket.AF_UNIX)
    try:
        peer.setblocking(False)
        with address(name) as where:
            async with asyncio.timeout(ANSWER_SECONDS):
                await asyncio.get_running_loop().sock_connect(peer, where)
        return await asyncio.open_unix_connection(sock=peer)
    except BaseException:
        peer.close()
        raise
