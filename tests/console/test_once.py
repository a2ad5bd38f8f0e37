"""Forms that act at most once."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from accounts.models import User
from console.forms import once
from console.models import SpentForm


@pytest.mark.either_database
@pytest.mark.django_db
def test_a_ticket_is_spent_once(owner: User) -> None:
    ticket = once.issue(owner, "test")
    once.spend(ticket, owner, "test")
    with pytest.raises(once.AlreadySent):
        once.spend(ticket, owner, "test")
    assert SpentForm.objects.count() == 1


@pytest.mark.django_db
def test_a_ticket_is_for_one_person_and_one_purpose(owner: User, stranger: User) -> None:
    ticket = once.issue(owner, "test")
    for user, purpose, text in ((stranger, "test", ticket), (owner, "other", ticket), (owner, "test", ticket + "x")):
        with pytest.raises(once.TicketInvalid):
            once.spend(text, user, purpose)
    assert not SpentForm.objects.exists()


@pytest.mark.django_db
def test_an_old_ticket_is_refused_and_what_is_older_is_forgotten(owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    SpentForm.objects.create(spent_at=timezone.now() - timedelta(seconds=2 * once.TICKET_SECONDS + 1))
    once.spend(once.issue(owner, "test"), owner, "test")
    assert SpentForm.objects.count() == 1
    now = time.time()
    ticket = once.issue(owner, "test")
    monkeypatch.setattr(time, "time", lambda: now + once.TICKET_SECONDS + 2)
    with pytest.raises(once.TicketInvalid):
        once.spend(ticket, owner, "test")


@pytest.mark.either_database
@pytest.mark.django_db(transaction=True)
def test_of_two_at_the_same_instant_one_acts(owner: User) -> None:
    ticket = once.issue(owner, "test")

    def act(_: int) -> str:
        try:
            with transaction.atomic():
                once.spend(ticket, owner, "test")
        except once.AlreadySent:
            return "already"
        finally:
            connection.close()
        return "acted"

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(act, range(8))) == ["acted"] + ["already"] * 7


@pytest.mark.django_db(transaction=True)
def test_what_did_not_happen_can_be_sent_again(owner: User) -> None:
    ticket = once.issue(owner, "test")
    with transaction.atomic():
        once.spend(ticket, owner, "test")
        transaction.set_rollback(True)
    with transaction.atomic():
        once.spend(ticket, owner, "test")
