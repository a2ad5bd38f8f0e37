"""What PUBLIC_URL may be."""

import re
from typing import Final

from environs import EnvError

SAYING: Final = (
    'Environment variable "PUBLIC_URL" is http:// or https:// with the name of this site, such as '
    "https://parley.example.org, and nothing behind it but a port"
)
# The names are those that Django lets in as a Host.
_ADDRESS: Final = re.compile(r"https?://(?:[a-z0-9][a-z0-9.-]*|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}))?/?")


def public_url(written: str) -> str:
    """Return the address as browsers write it, without a slash; nothing where there is none. Raises EnvError.

    What is wrong is not repeated: it may have a password in it.
    """
    if not written:
        return ""
    address = written.lower()
    found = _ADDRESS.fullmatch(address)
    if not found or int(found["port"] or 1) not in range(1, 65536):
        raise EnvError(SAYING)
    return address.removesuffix("/")
