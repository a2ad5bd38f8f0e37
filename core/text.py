"""Text that somebody typed, as it may be shown: nothing in it moves a cursor, reorders a line or hides."""

import re
from typing import Final

from django.core.exceptions import ValidationError

# Controls, marks of direction, separators of lines, tags and other characters that show nothing or rearrange what is
# shown. The joiners U+200C and U+200D are parts of words and emoji.
_UNSEEN: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e0fff]"
)


def validate_line(text: str) -> None:
    """Refuse what is not one printable line. Raises ValidationError."""
    if not text.isprintable() or not text.strip():
        raise ValidationError("Use one line of printable characters.")


def validate_name(text: str) -> None:
    """Refuse what is not one printable line without spaces around it. Raises ValidationError."""
    validate_line(text)
    if text != text.strip():
        raise ValidationError("Leave out the spaces around it.")


def escaped(text: str, keep: str = "") -> str:
    """Return a text for a terminal or a log, with escapes for what is not seen and is not in ``keep``."""
    return _UNSEEN.sub(lambda match: match[0] if match[0] in keep else _escape(match[0]), text)


def one_line(text: str) -> str:
    """Return a text on one line, without what is not seen."""
    return " ".join(_UNSEEN.sub(" ", text).split())


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()
