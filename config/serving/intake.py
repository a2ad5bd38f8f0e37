"""What has come in of one HTTP request, and whether it is too much: the same for both servers."""

from django.conf import settings

from config.serving import limits
from config.serving.connections import Connection
from config.serving.limits import Refused


class Intake:
    """Counts one request after the other on a connection. Every method raises Refused for what is too much."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._head_bytes = 0
        self._headers = 0
        self._body_bytes = 0

    def begin(self) -> None:
        """A request begins: its head has REQUEST_HEAD_SECONDS."""
        self._head_bytes = self._headers = self._body_bytes = 0
        self._connection.begin_pieces()
        self._connection.expect_within(settings.REQUEST_HEAD_SECONDS)

    def take_head(self, size: int) -> None:
        """Take a part of the address, or of a header."""
        self._head_bytes += size
        if self._head_bytes > limits.HEAD_BYTES:
            raise Refused(limits.bad_request("The request's headers are too large."))

    def take_header(self, size: int) -> None:
        """Take a header, with the bytes of its name and value."""
        self._headers += 1
        if self._headers > limits.HEADERS:
            raise Refused(limits.bad_request("The request has too many headers."))
        self.take_head(size)

    def take_unparsed(self, size: int, total: int) -> None:
        """Take a read that completed nothing, and ``total`` bytes of such: of a head, a chunk's head, or trailers."""
        if total > limits.HEAD_BYTES:
            raise Refused(limits.bad_request("The request's headers are too large."))
        self._take_piece(size)

    def complete_head(self, lengths: list[bytes]) -> None:
        """The body is next, within REQUEST_BODY_SECONDS; ``lengths`` are the values of Content-Length."""
        self._connection.begin()
        self._connection.expect_within(settings.REQUEST_BODY_SECONDS)
        limits.body_length(lengths)

    def take_body(self, size: int, rest: int = 0) -> None:
        """Take a piece of the body, of which so many bytes more are announced."""
        self._body_bytes += size
        if self._body_bytes + rest > settings.MAX_BODY_BYTES:
            raise Refused(limits.too_large())
        self._take_piece(size)

    def _take_piece(self, size: int) -> None:
        if not self._connection.take_piece(size):
            raise Refused(limits.too_many_pieces(), is_costly=True)
