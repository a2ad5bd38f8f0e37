"""The HTTP client over TLS, with a certificate of our own."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from inference.errors import EngineTimeout, EngineUnavailable
from inference.transport.client import Request
from tests.fakes.raw import RawServer, Reply
from tests.inference.clients import http
from tests.patience import PATIENCE_SECONDS, eventually

WHOLE = b"HTTP/1.1 200 OK\r\ncontent-length: 200000\r\n\r\n" + b"x" * 200_000


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A file with a key and its certificate for ``localhost``."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file = tmp_path / "localhost.pem"
    file.write_bytes(secret + signed.public_bytes(pem))
    return file


def tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


async def fetch(url: str) -> tuple[int, bytes]:
    return await http().fetch(Request("POST", url, {}, b"x" * 500_000), seconds=PATIENCE_SECONDS, limit=1 << 20)


async def test_a_trusted_server_is_spoken_to_over_tls(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with RawServer([Reply([WHOLE])], tls=tls(certificate)) as server:
        for _ in range(3):
            assert await fetch(f"https://localhost:{server.port}") == (200, b"x" * 200_000)
        assert server.connections == 1
        await http().close()


async def test_a_pinned_connection_asks_for_the_server_by_its_name(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    named: list[str | None] = []
    context = tls(certificate)
    context.sni_callback = lambda _, name, __: named.append(name)
    async with RawServer([Reply([WHOLE])], tls=context) as server:
        await fetch(f"https://localhost:{server.port}")
        await http().close()
    assert named == ["localhost"]


async def test_an_untrusted_server_is_unavailable(certificate: Path) -> None:
    async with RawServer([Reply([WHOLE])], tls=tls(certificate)) as server:
        with pytest.raises(EngineUnavailable):
            await fetch(f"https://localhost:{server.port}")
        assert not server.requests


async def test_a_trusted_server_under_another_name_is_unavailable(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with RawServer([Reply([WHOLE])], tls=tls(certificate)) as server:
        with pytest.raises(EngineUnavailable):
            await fetch(f"https://127.0.0.1:{server.port}")
        assert not server.requests


async def test_a_handshake_that_does_not_come_in_time_is_given_up() -> None:
    async with RawServer([Reply()]) as server:
        with pytest.raises(EngineTimeout):
            await http().fetch(Request("GET", f"https://localhost:{server.port}", {}), seconds=0.5, limit=10)
        await eventually(lambda: server.left)
