"""The response header that names what was left out of a request."""

import re
from collections.abc import Iterable
from typing import Final

HEADER: Final = "parley-ignored"
# Proxies refuse long headers; the rest is counted.
MAX_NAMES: Final = 16
MAX_NAME_CHARACTERS: Final = 80

_UNPRINTABLE = re.compile(r"[^!-+\--~]")


def ignored_head(paths: Iterable[str]) -> dict[str, str]:
    """Return the header for what was left out, if anything; characters that are unsafe in a header are replaced."""
    names = list(dict.fromkeys(_UNPRINTABLE.sub("?", path)[:MAX_NAME_CHARACTERS] for path in paths))
    if not names:
        return {}
    more = [f"and {len(names) - MAX_NAMES} more"] if len(names) > MAX_NAMES else []
    return {HEADER: ", ".join(names[:MAX_NAMES] + more)}
