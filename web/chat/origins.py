"""Where in a body what was translated came from."""

from typing import Final


class Origins:
    """Paths in a translated request, and what the client wrote there."""

    def __init__(self) -> None:
        self._before: Final[dict[str, str]] = {}

    def note(self, now: str, before: str) -> None:
        """Take note that what stood at one path now stands at another; of two that fit, the longer one counts."""
        self._before[now] = before

    def __call__(self, path: str) -> str:
        """Return where the client wrote what is now at a path."""
        end = len(path)
        while end > 0:
            before = self._before.get(path[:end])
            if before is not None:
                return before + path[end:]
            end = max(path.rfind(".", 0, end), path.rfind("[", 0, end))
        return path
