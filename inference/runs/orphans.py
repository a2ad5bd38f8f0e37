"""Expires the holds of a dead process's runs before their time.

What it had in its journal is settled first, where that is on this machine. If the process lived after all, and only
could not reach the database, what it settles later is still charged, as far as there are credits.
"""

from django.conf import settings

from credits import ledger
from credits.models import Hold
from inference.models import ServingProcess


def expire(process: str) -> int:
    """End what the runs of a dead process hold, and its lease; return how many holds that were.

    For a thread without an event loop; blocks. Raises LedgerError or DatabaseError.
    """
    ledger.replay_left_behind(settings.JOURNAL_DIR)
    held = Hold.objects.filter(state=Hold.State.OPEN, run__startswith=process)
    count = ledger.expire(list(held.values_list("pk", flat=True)))
    ServingProcess.objects.filter(pk=process).delete()
    return count


def expire_of(home: str) -> int:
    """Do so for every process that served from a DATA_DIR; for who has its lock, and so knows that they are dead."""
    ledger.replay_left_behind(settings.JOURNAL_DIR)
    return sum(expire(name) for name in ServingProcess.objects.filter(home=home).values_list("pk", flat=True))
