"""Whose turn it is: each project's share of one model's slots, while several wait for them."""

from typing import Final

# How many rounds of all the slots a project may be ahead or behind. Those that it let pass are kept for it: with two,
# one that waited for w when it was alone waits no longer than 2 w beside any other that floods the queue; the third
# pays for the slots being taken when it comes. It is also how long the others can be held up.
KEPT_ROUNDS: Final = 3
# The length of a turn is the mean over about so many of the latest answers.
ANSWERS_REMEMBERED: Final = 32


class Turns:
    """How many turns each project has had. A turn is the time that an answer takes a slot for, as a rule.

    One whose answers take longer has had more turns with each, so it is time that is shared.
    """

    def __init__(self) -> None:
        self._had: dict[int, float] = {}
        # The most that anyone had who was served.
        self._latest = 0.0
        self._mean_seconds = 0.0

    def had_by(self, project_id: int) -> float:
        """Return a number that is smaller, the sooner a project that waits shall be served."""
        return self._had[project_id]

    def forget(self) -> None:
        """Begin anew: nobody waits, so nobody lets a turn pass."""
        self._had.clear()

    def join(self, project_id: int, slots: int) -> None:
        """Let a project wait that did not; what it had or let pass lately counts, as far as it is kept."""
        earliest = self._latest - KEPT_ROUNDS * slots
        self._had[project_id] = max(earliest, self._had.get(project_id, earliest))

    def take(self, project_id: int) -> None:
        """Serve one request of a project that waits."""
        self._latest = max(self._latest, self._had[project_id])
        self._had[project_id] += 1

    def end(self, project_id: int, seconds: float, slots: int, *, is_counted: bool) -> None:
        """Note how long a request had its slot; ``is_counted`` for one that ``take`` has counted as one turn."""
        mean = self._mean_seconds or seconds
        self._mean_seconds = mean + (seconds - mean) / ANSWERS_REMEMBERED
        if mean and project_id in self._had:
            had = self._had[project_id] + seconds / mean - is_counted
            self._had[project_id] = min(had, self._latest + KEPT_ROUNDS * slots)
