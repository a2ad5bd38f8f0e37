"""What one process of this site asks another about a run, and hears of it, however the two can speak to each other."""

from typing import Any, Final, Literal

import msgspec

# A process that lives answers at once; one that does not is not waited for by anybody's page.
ANSWER_SECONDS: Final = 2
# Over Redis a run is told piece by piece. A process that has nothing to tell says so after this, and is asked again.
PIECE_SECONDS: Final = 1
# The types of frames that are a run's last.
FINAL: Final = frozenset({"ended", "failed"})


class Question(msgspec.Struct, frozen=True):
    """About a run: is it under way; end it; tell it from after a chunk's number.

    Over Redis, ``reader`` says who asks for the next piece, and leaves when it wants no more.
    """

    about: Literal["held", "stop", "follow", "leave"]
    run: str
    after: int = 0
    reader: str = ""


class PieceChunk(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a chunk adds to the page (``playground.socket.frames``)."""

    content: str = ""
    reasoning: str = ""
    tool_calls: list[dict[str, Any]] = []
    logprobs: list[dict[str, Any]] = []
    tokens: int = 0


class Piece(msgspec.Struct, frozen=True):
    """What a frame must be, if it came over a network, to be passed on to a browser."""

    type: Literal["queued", "chunks", "ended", "failed"]
    run: str
    first: int = msgspec.field(name="from", default=0)
    chunks: list[PieceChunk] = []
