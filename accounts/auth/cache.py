"""The auth cache: a bounded memory of who was let in and who was turned away, emptied at the first change."""

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


# Why a caller was turned away.
Refusal = type[IdentityError]
Outcome = Grant | Refusal


class AuthCache:
    """Two least-recently-used caches, so that a flood of unknown keys cannot push out a known one.

    Every call brings the present stamp (``core.changes``): another stamp than the last empties both.
    """

    def __init__(self, grants: int, refusals: int) -> None:
        """Take how many outcomes of each kind are kept at most."""
        self._lock = threading.Lock()
        self._limits = {True: grants, False: refusals}
        self._outcomes: dict[bool, OrderedDict[Hashable, Outcome]] = {True: OrderedDict(), False: OrderedDict()}
        self._stamp = 0

    def get(self, lookup: Hashable, stamp: int | None) -> Outcome | None:
        """Return a remembered outcome; never one from before the stamp, and none without a stamp."""
        with self._lock:
            if not self._is_present(stamp):
                return None
            for kept in self._outcomes.values():
                if outcome := kept.get(lookup):
                    kept.move_to_end(lookup)
                    return outcome
        return None

    def put(self, lookup: Hashable, outcome: Outcome, stamp: int | None) -> None:
        """Remember an outcome that was found after ``stamp`` was taken, unless something changed since."""
        is_grant = isinstance(outcome, Grant)
        with self._lock:
            if self._is_present(stamp):
                kept = self._outcomes[is_grant]
                kept[lookup] = outcome
                while len(kept) > self._limits[is_grant]:
                    kept.popitem(last=False)

    def __len__(self) -> int:
        """Count the outcomes of both kinds."""
        return sum(len(kept) for kept in self._outcomes.values())

    def _is_present(self, stamp: int | None) -> bool:
        """Tell whether the stamp is the latest; a later one than the last empties both caches."""
        if stamp is None or stamp < self._stamp:
            return False
        if stamp > self._stamp:
            self._stamp = stamp
            for kept in self._outcomes.values():
                kept.clear()
        return True
