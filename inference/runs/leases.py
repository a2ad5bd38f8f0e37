"""The lease of a web process: a row that it renews while it serves, so that others notice when it is dead.

A process is taken for dead by one that has seen no renewal of it for LEASE_SECONDS, in which it could renew its own
lease all the time. So no machine's clock is compared with another's, and when the database was away for all of them,
nobody is taken for dead before everybody has had time to come back. What a dead process held expires
(``inference.runs.orphans``).
"""

import logging
import threading
import time
from typing import Final, NamedTuple

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection
from django.db.models import F

from credits import ledger
from credits.errors import LedgerError
from inference.models import ServingProcess
from inference.runs import orphans

logger = logging.getLogger(__name__)

RENEW_SECONDS: Final = 3.0
LEASE_SECONDS: Final = 12.0
# Longer than a process whose connections broke takes to have another, once the database is back.
OUTAGE_GRACE_SECONDS: Final = 30.0
# Longer than a query of a database that answers.
STOP_SECONDS: Final = 5.0


class _Seen(NamedTuple):
    """How often a process had renewed its lease when that was last seen to change, and when (monotonic)."""

    renewals: int
    at: float


class Lease(threading.Thread):
    """Renews a process's lease, and expires what the processes held whose leases have expired.

    Replays the journals of dead processes of this machine, too.

    A thread, not a task: a process whose event loop is held up is not dead.
    """

    def __init__(
        self,
        process: str,
        home: str,
        *,
        renew_seconds: float = RENEW_SECONDS,
        lease_seconds: float = LEASE_SECONDS,
        grace_seconds: float = OUTAGE_GRACE_SECONDS,
    ) -> None:
        super().__init__(name="lease", daemon=True)
        self._process = process
        self._home = home
        self._renew_seconds = renew_seconds
        self._lease_seconds = lease_seconds
        self._grace_seconds = grace_seconds
        self._stopping = threading.Event()
        self._seen: dict[str, _Seen] = {}
        self._renewed_at = time.monotonic()
        # Before this moment nobody is taken for dead.
        self._trusted_from = 0.0

    def begin(self) -> None:
        """Take the lease and go on renewing it. Blocks while the database is asked; one that is away is asked again."""
        self._round()
        self.start()

    def end(self) -> None:
        """Give the lease up, when the process has no run any more. Blocks."""
        self._stopping.set()
        self.join(STOP_SECONDS)
        try:
            ServingProcess.objects.filter(pk=self._process).delete()
        except DatabaseError as error:
            logger.warning("The lease of process %s could not be given up, and runs out: %s", self._process, error)
        finally:
            connection.close()

    def run(self) -> None:
        """Renew until it is given up."""
        while not self._stopping.wait(self._renew_seconds):
            self._round()

    def renew(self) -> list[str]:
        """Renew the lease; return the processes whose leases have expired. Raises DatabaseError."""
        own = ServingProcess.objects.filter(pk=self._process)
        if not own.update(renewals=F("renewals") + 1):
            # The first time, or after others took this process for dead.
            row = ServingProcess(name=self._process, home=self._home)
            ServingProcess.objects.bulk_create([row], ignore_conflicts=True)
        others = dict(ServingProcess.objects.exclude(pk=self._process).values_list("name", "renewals"))
        now = time.monotonic()
        if now - self._renewed_at > 2 * self._renew_seconds:
            self.distrust()
        self._renewed_at = now
        self._seen = {name: self._look(name, renewals, now) for name, renewals in others.items()}
        if now < self._trusted_from:
            return []
        return [name for name, seen in self._seen.items() if now - seen.at > self._lease_seconds]

    def distrust(self) -> None:
        """Take nobody for dead for a while: what kept this process from renewing may have kept the others from it."""
        self._seen.clear()
        self._trusted_from = time.monotonic() + self._grace_seconds

    def _look(self, name: str, renewals: int, now: float) -> _Seen:
        seen = self._seen.get(name)
        return seen if seen and seen.renewals == renewals else _Seen(renewals, now)

    def _round(self) -> None:
        try:
            expired = self.renew()
            ledger.replay_left_behind(settings.JOURNAL_DIR)
            for name in expired:
                count = orphans.expire(name)
                logger.warning("The lease of process %s expired, and so did %d holds of its runs", name, count)
        except (DatabaseError, LedgerError) as error:
            self.distrust()
            logger.warning("The lease of process %s could not be renewed: %s", self._process, error)
        finally:
            connection.close()
