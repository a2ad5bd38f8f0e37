"""What REDIS_URL may be."""

import re
from urllib.parse import urlsplit

from environs import EnvError

SAYING = 'Environment variable "REDIS_URL" is redis://user:password@host:port/number, or rediss:// for TLS'


def redis_url(written: str) -> str:
    """Return an address of Redis, or nothing where there is none. Raises EnvError, without repeating the password."""
    if not written:
        return ""
    # It takes 11 MB, and most sites do without.
    from redis import ConnectionPool, RedisError

    try:
        parts = urlsplit(written)
        if parts.scheme not in ("redis", "rediss") or not parts.hostname or not re.fullmatch(r"/?\d*", parts.path):
            raise EnvError(SAYING)
        # Looks at the rest, options such as ssl_ca_certs included, and connects nowhere.
        ConnectionPool.from_url(written).make_connection()
    except (ValueError, TypeError, RedisError):
        raise EnvError(SAYING) from None
    return written
