"""Forms that act at most once, however often they are sent: a double click, a reload, two tabs, a retry.

A form carries a signed ticket made for one person and one purpose. ``spend`` is called inside the transaction that
acts: either both are kept or neither is, and of two at the same instant the database lets one through.
"""

from datetime import timedelta
from uuid import UUID, uuid4

from django.core import signing
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from accounts.models import User
from console.models import SpentForm

TICKET_SECONDS = 12 * 3_600


class TicketInvalid(Exception):
    """The ticket is too old, was made for someone or something else, or was not made by us."""


class AlreadySent(Exception):
    """The form was acted upon before."""


def issue(user: User, purpose: str) -> str:
    """Make a ticket for a form that is shown now."""
    return signing.dumps([uuid4().hex, user.pk], salt=f"console.forms.once.{purpose}")


def spend(ticket: str, user: User, purpose: str) -> None:
    """Use the ticket up, within the caller's transaction. Raises TicketInvalid or AlreadySent."""
    assert connection.in_atomic_block, "the ticket must be spent together with what it is for"
    try:
        identifier, owner = signing.loads(ticket, salt=f"console.forms.once.{purpose}", max_age=TICKET_SECONDS)
    except signing.BadSignature:
        raise TicketInvalid from None
    if owner != user.pk:
        raise TicketInvalid
    now = timezone.now()
    # What is older could not be spent again anyway: its signature has expired.
    SpentForm.objects.filter(spent_at__lt=now - timedelta(seconds=2 * TICKET_SECONDS)).delete()
    try:
        with transaction.atomic():
            SpentForm(id=UUID(identifier), spent_at=now).save(force_insert=True)
    except IntegrityError:
        raise AlreadySent from None
