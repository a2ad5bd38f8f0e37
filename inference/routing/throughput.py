"""How many tokens came in the last minute."""

import time
from collections import deque
from typing import Final

WINDOW_SECONDS: Final = 60


class Throughput:
    """Tokens by the second in which they came. Added to on the event loop, and read from any thread."""

    def __init__(self) -> None:
        self._seconds: deque[tuple[int, int]] = deque(maxlen=WINDOW_SECONDS)

    def add(self, tokens: int) -> None:
        """Count tokens that came now."""
        second, seconds = int(time.monotonic()), self._seconds
        if seconds and seconds[-1][0] == second:
            seconds[-1] = (second, seconds[-1][1] + tokens)
        else:
            seconds.append((second, tokens))

    def per_second(self) -> float:
        """Return the average of the last minute."""
        earliest = time.monotonic() - WINDOW_SECONDS
        return sum(tokens for second, tokens in tuple(self._seconds) if second > earliest) / WINDOW_SECONDS
