"""The form of a secret: ``parley_<12 base62 id>_<43 base62 secret><6 base62 CRC32 of all before>``.

43 characters of base62 are 256 random bits. The checksum lets a typo fail without asking the database.
"""

import hashlib
import re
import secrets
import string
import zlib

ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
ID_LENGTH = 12
SECRET_LENGTH = 43
CHECKSUM_LENGTH = 6
PREFIX = "parley_"

_form = re.compile(rf"{PREFIX}[0-9A-Za-z]{{{ID_LENGTH}}}_[0-9A-Za-z]{{{SECRET_LENGTH + CHECKSUM_LENGTH}}}")


def generate() -> tuple[str, str]:
    """Return a new key's id and its whole secret."""
    key_id = _random(ID_LENGTH)
    body = f"{PREFIX}{key_id}_{_random(SECRET_LENGTH)}"
    return key_id, body + checksum(body)


def is_well_formed(secret: str) -> bool:
    """Tell whether this may be a secret of ours; bears anything that a header can hold."""
    return _form.fullmatch(secret) is not None and checksum(secret[:-CHECKSUM_LENGTH]) == secret[-CHECKSUM_LENGTH:]


def digest(secret: str) -> str:
    """Return the SHA-256 that is stored in the secret's place, in hex."""
    return hashlib.sha256(secret.encode()).hexdigest()


def checksum(body: str) -> str:
    """Return the CRC32 of an ASCII text in base62, padded with zeros to six characters."""
    number = zlib.crc32(body.encode("ascii"))
    text = ""
    for _ in range(CHECKSUM_LENGTH):
        number, digit = divmod(number, len(ALPHABET))
        text = ALPHABET[digit] + text
    return text


def _random(length: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(length))
