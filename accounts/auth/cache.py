"""A bounded memory of who was let in and who was turned away, which forgets everything at the first change."""

import threading
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

from accounts.caller import Caller
from accounts.errors import IdentityError


@dataclass(frozen=True, slots=True)
class Grant:
    """A caller who was let in, until ``expires_at`` (seconds since 1970)."""

    caller: Caller
    expires_at: float


Answer = Grant | type[IdentityError]


class AnswerCache:
    """Two least-recently-used memories, so that a flood of unknown keys cannot push out a known one.

    Every call brings the present stamp (``core.changes``): another stamp than the last empties both memories.
    """

    def __init__(self, granted: int, refused: int) -> None:
        """Take how many answers of each kind are kept at most."""
        self._lock = threading.Lock()
        self._limits = {True: granted, False: refused}
        self._answers: dict[bool, OrderedDict[Hashable, Answer]] = {True: OrderedDict(), False: OrderedDict()}
        self._stamp = 0

    def get(self, question: Hashable, stamp: int | None) -> Answer | None:
        """Return a remembered answer; never one from before the stamp, and none without a stamp."""
        with self._lock:
            if not self._is_present(stamp):
                return None
            for memory in self._answers.values():
                if answer := memory.get(question):
                    memory.move_to_end(question)
                    return answer
        return None

    def put(self, question: Hashable, answer: Answer, stamp: int | None) -> None:
        """Remember an answer that was found after ``stamp`` was taken, unless something changed since."""
        granted = isinstance(answer, Grant)
        with self._lock:
            if self._is_present(stamp):
                memory = self._answers[granted]
                memory[question] = answer
                while len(memory) > self._limits[granted]:
                    memory.popitem(last=False)

    def __len__(self) -> int:
        """Count the answers of both kinds."""
        return sum(len(memory) for memory in self._answers.values())

    def _is_present(self, stamp: int | None) -> bool:
        """Tell whether the stamp is the latest; a later one than the last empties the memories."""
        if stamp is None or stamp < self._stamp:
            return False
        if stamp > self._stamp:
            self._stamp = stamp
            for memory in self._answers.values():
                memory.clear()
        return True
