"""What the environment may say: each reader returns a setting's value, or raises EnvError with one clear sentence.

A password that is part of a value is never repeated.
"""

import ipaddress
import os
import re
import secrets
import stat
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Final
from urllib.parse import urlsplit

from environs import EnvError

# What a folder has in it that was a DATA_DIR before.
_OURS: Final = {"static", "secret_key", "parley.sqlite3", "bootstrap.json"}
_OTHERS: Final = 0o077


def data_dir(written: str) -> Path:
    """Return the folder, which is made where it is missing, and which nobody else may read; nor what is in it.

    From here on the process makes no file that others can read. Raises EnvError where nothing can be written, and for a
    folder with other things in it that others can read: what these are for is not ours to change.
    """
    os.umask(_OTHERS)
    folder = Path(written).resolve()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _keep_private(folder)
        # Root may write wherever its permissions are asked for, and yet not on what is mounted read-only.
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise EnvError(
            f'Environment variable "DATA_DIR" is a folder to write into, which {folder} cannot be: {error.strerror}'
        ) from None
    return folder


def _keep_private(folder: Path) -> None:
    """Take from others what they may do with the folder and with what lies in it. Raises EnvError."""
    inside = list(folder.iterdir())
    is_open = folder.stat().st_mode & _OTHERS
    names = {path.name for path in inside} - {"lost+found"}
    if is_open and names and not names & _OURS:
        raise EnvError(
            f'Environment variable "DATA_DIR" is a folder of its own, but {folder} has other things in it and others '
            "may read it: name an empty folder, or run chmod 700 on this one"
        )
    for path in (folder, *inside):
        found = path.lstat()
        # A folder that a container was given may be somebody else's; then at least its files are private.
        if found.st_mode & _OTHERS and not path.is_symlink() and found.st_uid == os.geteuid():
            path.chmod(stat.S_IMODE(found.st_mode) & ~_OTHERS)
    if folder.stat().st_mode & stat.S_IWOTH:
        raise EnvError(f'Environment variable "DATA_DIR" is a folder that nobody else may write into, unlike {folder}')


def secret_key(folder: Path) -> str:
    """Return the SECRET_KEY kept in ``folder``, creating it (mode 0600) at the first start.

    Two processes that start at once agree: the file is linked into place whole, and the first link wins.
    """
    path = folder / "secret_key"
    if not path.exists():
        draft = folder / f".secret_key.{os.getpid()}.{secrets.token_hex(4)}"
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_urlsafe(50))
        try:
            path.hardlink_to(draft)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text().strip()


def check_database(written: dict[str, Any]) -> None:
    """Refuse what the site cannot live on. Raises EnvError, without repeating the password."""
    kind = written["ENGINE"].removeprefix("django.db.backends.")
    # Each thread has a connection of its own, and would have a memory of its own.
    is_memory = kind == "sqlite3" and ":memory:" in written["NAME"]
    has_name = written["NAME"] or "service" in written.get("OPTIONS", {})
    if kind not in ("sqlite3", "postgresql") or is_memory or not has_name:
        raise EnvError(
            'Environment variable "DATABASE_URL" is postgres://user:password@host:port/name or sqlite:////path/to/a/file'
        )


REDIS_RULE: Final = 'Environment variable "REDIS_URL" is redis://user:password@host:port/number, or rediss:// for TLS'


def redis_url(written: str) -> str:
    """Return an address of Redis, or nothing where there is none. Raises EnvError, without repeating the password."""
    if not written:
        return ""
    # It takes 11 MB, and most sites do without.
    from redis import ConnectionPool, RedisError

    try:
        parts = urlsplit(written)
        if parts.scheme not in ("redis", "rediss") or not parts.hostname or not re.fullmatch(r"/?\d*", parts.path):
            raise EnvError(REDIS_RULE)
        # Looks at the rest, options such as ssl_ca_certs included, and connects nowhere.
        ConnectionPool.from_url(written).make_connection()
    except (ValueError, TypeError, RedisError):
        raise EnvError(REDIS_RULE) from None
    return written


# More keys than these push out those that were used least lately.
CACHED_KEYS: Final = 50_000


def caches(redis_address: str, redis_seconds: float) -> dict[str, Any]:
    """Return Django's CACHES: ``default`` is shared by all processes where there is Redis, ``local`` never is."""
    memory = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "OPTIONS": {"MAX_ENTRIES": CACHED_KEYS}}
    if not redis_address:
        return {"default": memory, "local": memory}
    patience = {"socket_timeout": redis_seconds, "socket_connect_timeout": redis_seconds, "protocol": 2}
    shared = {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": redis_address,
        "KEY_PREFIX": "parley",
        "OPTIONS": patience,
    }
    return {"default": shared, "local": memory}


def default_sender(host: str) -> str:
    """Return who e-mails come from if nobody said: ``parley`` at the site's own name, where it has one."""
    is_name = "." in host and not _is_address(host)
    return f"parley@{host if is_name else 'localhost.localdomain'}"


def check_mail(host: str, user: str, password: str, *, is_tls: bool, is_ssl: bool) -> None:
    """Refuse settings that contradict each other. Raises EnvError."""
    if is_tls and is_ssl:
        raise EnvError('Environment variables "EMAIL_USE_TLS" and "EMAIL_USE_SSL" exclude each other')
    if bool(user) != bool(password):
        raise EnvError('Environment variables "EMAIL_HOST_USER" and "EMAIL_HOST_PASSWORD" need each other')
    if not host and (user or is_tls or is_ssl):
        raise EnvError(
            'Environment variable "EMAIL_HOST" is not set, but EMAIL_HOST_USER, EMAIL_USE_TLS or EMAIL_USE_SSL is'
        )
    if any(character in host for character in "/:@ ") and not _is_address(host):
        raise EnvError(f'Environment variable "EMAIL_HOST" is the name of a server, not {host!r}')


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# This machine and private networks: RFC 1918 and RFC 4193.
PRIVATE = ("127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")

_EMBEDDED = ipaddress.ip_address("127.0.0.1")
_NAME = re.compile(r"(?=.*[a-z])(?!-)[a-z0-9-]{1,63}(\.(?!-)[a-z0-9-]{1,63})*")


def engine_networks(written: Iterable[str]) -> tuple[tuple[Network, ...], frozenset[str]]:
    """Return the networks and the names in a list of both.

    Raises EnvError for what is neither, and for networks in which there can be no engine.
    """
    networks: list[Network] = []
    names: set[str] = set()
    for each in (each.strip().lower() for each in written):
        network = _network(each)
        if network and not (network.is_link_local or network.is_multicast):
            networks.append(network)
        elif not network and _NAME.fullmatch(each):
            names.add(each)
        else:
            raise EnvError(
                'Environment variable "ENGINE_NETWORKS" is a list of networks such as 10.0.0.0/8 and names of servers '
                f"such as router.huggingface.co, which {each!r} is neither"
            )
    if not (networks or names):
        raise EnvError('Environment variable "ENGINE_NETWORKS" must not be empty: no engine could be reached')
    return tuple(networks), frozenset(names)


def check_embedded(networks: Iterable[Network]) -> None:
    """Refuse networks in which the embedded engine is not. Raises EnvError."""
    if not any(_EMBEDDED in network for network in networks):
        raise EnvError(
            f'Environment variable "ENGINE_NETWORKS" leaves out {_EMBEDDED}, where the embedded engine is: '
            "add it, or set EMBEDDED_ENGINE=false"
        )


def _network(written: str) -> Network | None:
    """Read a network; None for anything else, such as one with an address beside its prefix."""
    try:
        return ipaddress.ip_network(written)
    except ValueError:
        return None


PUBLIC_URL_RULE: Final = (
    'Environment variable "PUBLIC_URL" is http:// or https:// with the name of this site, such as '
    "https://parley.example.org, and nothing behind it but a port"
)
# The names are those that Django lets in as a Host.
_ADDRESS: Final = re.compile(r"https?://(?:[a-z0-9][a-z0-9.-]*|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}))?/?")


def cors_origins(written: Iterable[str]) -> tuple[str, ...]:
    """Return the origins as browsers write them; ``*`` stands for any. Raises EnvError."""
    origins = tuple(origin.strip().lower().removesuffix("/") for origin in written if origin.strip())
    if wrong := next((origin for origin in origins if origin != "*" and not _ADDRESS.fullmatch(origin)), None):
        raise EnvError(
            f'Environment variable "CORS_ORIGINS" is a list of origins with commas between, such as '
            f"https://chat.example.org, or *; {wrong} is none"
        )
    return origins


def public_url(written: str) -> str:
    """Return the address as browsers write it, without a slash; nothing where there is none. Raises EnvError.

    What is wrong is not repeated: it may have a password in it.
    """
    if not written:
        return ""
    address = written.lower()
    found = _ADDRESS.fullmatch(address)
    if not found or int(found["port"] or 1) not in range(1, 65536):
        raise EnvError(PUBLIC_URL_RULE)
    return address.removesuffix("/")
