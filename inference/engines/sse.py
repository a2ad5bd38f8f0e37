"""Server-sent events, from bytes: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream

Lines end at a line feed and nowhere else: models write U+2028 and U+0085 into the middle of an event.
"""

from inference.errors import EngineFailed

# The largest unfinished event that is kept; a token with its log-probabilities takes a few kilobytes.
MAX_EVENT_BYTES = 1_048_576

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class EventParser:
    """Takes a stream's bytes as they come, split anywhere, and gives the data of each finished event."""

    def __init__(self) -> None:
        self._rest = b""
        self._is_first = True

    def feed(self, received: bytes) -> list[bytes]:
        """Return the data of the events that ``received`` completes.

        Raises EngineFailed for an event of more than MAX_EVENT_BYTES.
        """
        if self._rest:
            received = self._rest + received
        if b"\r" in received:
            received = received.replace(b"\r\n", b"\n")
        *blocks, self._rest = received.split(b"\n\n")
        if len(self._rest) > MAX_EVENT_BYTES:
            raise EngineFailed
        if blocks and self._is_first:
            self._is_first = False
            blocks[0] = blocks[0].removeprefix(_BYTE_ORDER_MARK)
        # Nearly every block is one line of data.
        events = [
            block[6:] if block.startswith(b"data: ") and b"\n" not in block else _joined(block) for block in blocks
        ]
        return events if all(events) else [event for event in events if event]


def _joined(block: bytes) -> bytes:
    """Return the data of a block of several lines; empty where it has none, as in a keep-alive."""
    lines = []
    for line in block.split(b"\n"):
        field, _, value = line.partition(b":")
        if field == b"data":
            lines.append(value.removeprefix(b" "))
    return b"\n".join(lines)
