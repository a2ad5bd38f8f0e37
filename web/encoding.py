"""Request bodies as they were before a client compressed them, within bounds."""

import zlib
from typing import Final

import zstandard

from web.errors import BadRequest, RequestTooLarge, UnsupportedMediaType

# What RFC 8878 asks of every decoder; a frame may ask for more memory than that, and is refused.
MAX_WINDOW_BYTES: Final = 8_388_608
# zlib's way to say: read either of the two headers that it knows.
_GZIP_OR_ZLIB: Final = 32 + zlib.MAX_WBITS


def decoded(body: bytes, encoding: str, limit_bytes: int) -> bytes:
    """Return what a body was before it was encoded; no more than ``limit_bytes`` are ever unpacked.

    Raises UnsupportedMediaType, RequestTooLarge, or BadRequest for what is not encoded so.
    """
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return body
    if name in ("gzip", "x-gzip", "deflate"):
        unpacked = _inflated(body, limit_bytes)
    elif name == "zstd":
        unpacked = _unpacked(body, limit_bytes)
    else:
        raise UnsupportedMediaType("Content-Encoding may be gzip, deflate or zstd.")
    if len(unpacked) > limit_bytes:
        raise RequestTooLarge
    return unpacked


def _inflated(body: bytes, limit_bytes: int) -> bytes:
    reader = zlib.decompressobj(_GZIP_OR_ZLIB)
    try:
        unpacked = reader.decompress(body, limit_bytes + 1)
    except zlib.error as error:
        raise BadRequest("The body is not encoded as Content-Encoding says.") from error
    if not reader.eof and len(unpacked) <= limit_bytes:
        raise BadRequest("The encoded body ends early.")
    return unpacked


def _unpacked(body: bytes, limit_bytes: int) -> bytes:
    try:
        with zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW_BYTES).stream_reader(body) as stream:
            return stream.read(limit_bytes + 1)
    except zstandard.ZstdError as error:
        raise BadRequest("The body is not encoded as Content-Encoding says.") from error
