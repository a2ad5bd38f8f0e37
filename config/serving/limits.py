"""What one connection may send and how much of it, whichever server holds it; and how its client is told.

Deadlines are in the settings. Every number here is a bound on memory or on work that nobody has paid for yet.
"""

import re
from typing import Final

from django.conf import settings

from core.errors import SERVER_ERROR
from web.errors import BadRequest, Problem, RequestTooLarge, TooManyConnections, describe

# A request's address and headers together, and how many headers.
HEAD_BYTES: Final = 32_768
HEADERS: Final = 100
# Requests that one connection may send before the first of them is answered.
PIPELINED_REQUESTS: Final = 16
# Bytes of a body or of such requests that wait for the application; then no more are read.
BACKLOG_BYTES: Final = 65_536
# Messages from one WebSocket that may wait for the application.
WEBSOCKET_QUEUE: Final = 4
# What a client whose request is refused may still send before it is cut: it is thrown away, so that the answer is read.
DISCARDED_BYTES: Final = 33_554_432

# Work comes with pieces, not with bytes: reads of a head, chunks and reads of a body, frames of a WebSocket. Within a
# request, pieces of at least SMALL_PIECE_BYTES are free.
SMALL_PIECE_BYTES: Final = 256
REQUEST_PIECES: Final = 512
# Frames within WINDOW_SECONDS; a large one counts once more for each FRAME_BYTES.
FRAMES: Final = 256
FRAME_BYTES: Final = 32_768
WINDOW_SECONDS: Final = 10.0
# All connections of an address within WINDOW_SECONDS, except for the FREE_PIECES of each of them.
ADDRESS_PIECES: Final = 2_048
FREE_PIECES: Final = 16
# Why a WebSocket is closed with 1008.
TOO_MANY_FRAMES: Final = "Too many frames"

_LENGTH: Final = re.compile(rb"[0-9]{1,18}")


class Refused(Exception):
    """The request cannot be taken; its connection ends with ``problem``.

    ``is_costly`` where it is the number of pieces that is too much: then what follows is not even read.
    """

    def __init__(self, problem: Problem, *, is_costly: bool = False) -> None:
        super().__init__(problem.message)
        self.problem = problem
        self.is_costly = is_costly


def body_length(declared: list[bytes]) -> int:
    """Return the length that a request declares, 0 for none. Raises Refused."""
    if not declared:
        return 0
    if len(declared) > 1 or not _LENGTH.fullmatch(declared[0]):
        raise Refused(bad_request("The Content-Length is not a number of bytes."))
    length = int(declared[0])
    if length > settings.MAX_BODY_BYTES:
        raise Refused(too_large())
    return length


def too_large() -> Problem:
    """Refuse a body of more than MAX_BODY_BYTES."""
    return describe(RequestTooLarge())


def too_many_pieces() -> Problem:
    """Refuse a request that comes in more pieces than anybody needs."""
    return bad_request("The request comes in too many small pieces.")


def too_many_requests() -> Problem:
    """Refuse requests that do not wait for the answers before them."""
    return bad_request("Too many requests were sent before the first of them was answered.")


def too_many_connections() -> Problem:
    """Refuse a connection beyond what one address, or the whole server, may have."""
    return describe(TooManyConnections())


def bad_request(reason: str) -> Problem:
    """Refuse what is not HTTP, or too much of it."""
    return describe(BadRequest(reason))


def server_error() -> Problem:
    """Say that the application broke down."""
    return Problem.of(SERVER_ERROR)
