"""Bodies that clients compressed: read, and never unpacked beyond bounds."""

import gzip
import tracemalloc
import zlib

import pytest
import zstandard

from web.encoding import decoded
from web.errors import BadRequest, RequestTooLarge, UnsupportedMediaType

BODY = b'{"model": "x"}' * 10
LIMIT = 1_000


def zstd(body: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(body)


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("", BODY),
        ("identity", BODY),
        ("gzip", gzip.compress(BODY)),
        ("GZIP ", gzip.compress(BODY)),
        ("x-gzip", gzip.compress(BODY)),
        ("deflate", zlib.compress(BODY)),
        ("zstd", zstd(BODY)),
    ],
)
def test_a_body_is_read_as_it_was(encoding: str, body: bytes) -> None:
    assert decoded(body, encoding, LIMIT) == BODY


@pytest.mark.parametrize("encoding", ["br", "gzip, gzip", "compress", "x"])
def test_other_encodings_are_refused(encoding: str) -> None:
    with pytest.raises(UnsupportedMediaType):
        decoded(BODY, encoding, LIMIT)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
def test_what_is_not_encoded_so_is_refused(encoding: str) -> None:
    with pytest.raises(BadRequest):
        decoded(BODY, encoding, LIMIT)


def test_what_ends_early_is_refused() -> None:
    with pytest.raises(BadRequest):
        decoded(gzip.compress(BODY)[:-12], "gzip", LIMIT)


@pytest.mark.parametrize(
    ("encoding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress), ("zstd", zstd)]
)
def test_a_body_that_unpacks_to_very_much_is_refused_before_it_does(encoding: str, compress) -> None:  # type: ignore[no-untyped-def]
    bomb = compress(b"\0" * 100_000_000)
    assert len(bomb) < 200_000
    tracemalloc.start()
    with pytest.raises(RequestTooLarge):
        decoded(bomb, encoding, 1_000_000)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 5_000_000


def test_a_window_larger_than_decoders_must_have_is_refused() -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=27, enable_ldm=True)
    wide = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    body = wide.compress(b"x" * 1_000) + wide.flush()
    with pytest.raises(BadRequest):
        decoded(body, "zstd", 1_000_000)
