"""What people did to accounts, teams and keys, in the history that the admin panel shows."""

from django.contrib.admin.models import CHANGE, LogEntry
from django.db.models import Model

from accounts.models import User


def record(actor: User, subject: Model, sentence: str) -> None:
    """Write down who did what to which object; no secret may be in the sentence."""
    LogEntry.objects.log_actions(actor.pk, [subject], CHANGE, sentence, single_object=True)
