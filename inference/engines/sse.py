"""Server-sent events, from bytes: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream

Lines end at a line feed, a carriage return or both, and nowhere else: models write U+2028 and U+0085 into the middle of
an event.
"""

import msgspec

from inference.errors import EngineFailed

# The largest unfinished event that is kept: a token with its log-probabilities takes a few kilobytes, but some servers
# send a whole answer as one event, or as one JSON body in the place of a stream.
MAX_EVENT_BYTES = 8_388_608

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_BLANK = b" \t\r\n"


class EventParser:
    """Takes a stream's bytes as they come, split anywhere, and gives the data of each finished event.

    ``comments`` counts the blocks that held nothing but comments. A body that begins as JSON is one event.
    """

    def __init__(self) -> None:
        self.comments = 0
        self._rest = bytearray()
        # Where the end of the unfinished event is still to be looked for.
        self._scanned = 0
        # The stream's first bytes decide what it is.
        self._is_first = True
        self._is_json = False
        self._ends_with_return = False

    def feed(self, received: bytes) -> list[bytes]:
        """Return the data of the events that ``received`` completes.

        Raises EngineFailed for an event of more than MAX_EVENT_BYTES.
        """
        if b"\r" in received or self._ends_with_return:
            received = self._with_line_feeds(received)
        rest = self._rest
        if not (rest or self._is_first or self._is_json) and received.endswith(b"\n\n"):
            # Nearly every server writes whole events.
            return self._events(received[:-2].split(b"\n\n"))
        rest += received
        if self._is_first:
            self._begin()
        end = -1 if self._is_json else rest.rfind(b"\n\n", max(0, self._scanned - 1))
        if end < 0:
            self._scanned = len(rest)
            if len(rest) > MAX_EVENT_BYTES:
                raise EngineFailed
            return []
        blocks = bytes(rest[:end]).split(b"\n\n")
        del rest[: end + 2]
        self._scanned = len(rest)
        return self._events(blocks)

    def flush(self) -> list[bytes]:
        """Return the data of what was left unfinished, once nothing follows."""
        rest = bytes(self._rest)
        self._rest.clear()
        if self._is_json:
            return [rest.strip(_BLANK)]
        return self._events([rest.rstrip(b"\n")])

    def _begin(self) -> None:
        """Leave out a byte order mark, and see whether this is a stream at all."""
        rest = self._rest
        if rest.startswith(_BYTE_ORDER_MARK):
            del rest[:3]
        elif _BYTE_ORDER_MARK.startswith(bytes(rest)):
            return
        if begins := rest.lstrip(_BLANK)[:1]:
            self._is_first, self._is_json = False, begins in b"{["

    def _with_line_feeds(self, received: bytes) -> bytes:
        """Return bytes whose lines end with a line feed alone, wherever a pair of line ends was split."""
        if self._ends_with_return:
            received = received.removeprefix(b"\n")
        self._ends_with_return = received.endswith(b"\r")
        return received.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _events(self, blocks: list[bytes]) -> list[bytes]:
        # Nearly every block is one line of data.
        events = [
            block[6:] if block.startswith(b"data: ") and b"\n" not in block else _joined(block) for block in blocks
        ]
        if all(events):
            return events
        self.comments += sum(1 for block, event in zip(blocks, events, strict=True) if not event and block[:1] == b":")
        return [event for event in events if event]


def _joined(block: bytes) -> bytes:
    """Return the data of a block of several lines; empty where it has none, as in a keep-alive.

    What is an error by its event's name alone says so in its data too.
    """
    lines, is_error = [], False
    for line in block.split(b"\n"):
        field, _, value = line.partition(b":")
        if field == b"data":
            lines.append(value.removeprefix(b" "))
        elif field == b"event":
            is_error = value.strip().lower() == b"error"
    data = b"\n".join(lines)
    if not is_error or b'"error"' in data:
        return data
    return b'{"error":%b}' % (
        data if data.lstrip().startswith(b"{") else msgspec.json.encode(data.decode(errors="replace"))
    )
