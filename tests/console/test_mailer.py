"""Alerts are sent by e-mail: to whom, once, whatever mail server, process or network fails on the way."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest
from django.conf import settings as django_settings
from django.core.mail import EmailMessage
from django.utils import timezone
from pytest_django import Settings

from accounts.models import Team, User
from console.alerts import mailer
from credits import alerts, ledger
from credits.budgets import limits
from credits.models import NANO, Alert
from proofs import scratch
from tests.fakes.smtp import FakeSmtp
from tests.patience import PATIENCE_SECONDS, Stopwatch, until
from tests.postgresql import free_port
from tests.server import Server

pytestmark = [pytest.mark.either_database, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def smtp() -> Iterator[FakeSmtp]:
    """A mail server."""
    with FakeSmtp() as server:
        yield server


@pytest.fixture
def alert(team: Team) -> Alert:
    """An alert of the team that nobody was told of yet."""
    return alert_of(team)


def alert_of(team: Team) -> Alert:
    """Have a team's daily budget spent by half."""
    ledger.grant(team.pk, 10 * NANO, reason="start", actor="tests")
    budget = limits.set_budget(team.pk, scope="team", period="day", limit_nano=2 * NANO, alert_percents=[50])
    now = timezone.now()
    return Alert.objects.create(
        account_id=team.pk,
        budget=budget,
        percent=50,
        window_start=budget.window_start,
        limit_nano=2 * NANO,
        reached_nano=NANO,
        created_at=now,
    )


@contextmanager
def sending(port: int, settings: Settings) -> Iterator[None]:
    """Run this process's mailer with a mail server."""
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", port
    mailer.start()
    try:
        yield
    finally:
        mailer.stop()


def another_process(**environment: str) -> subprocess.Popen[str]:
    """Start another process's mailer."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.console.child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ
        | {"DATABASE_URL": scratch.database_url(), "DATA_DIR": str(django_settings.DATA_DIR)}
        | environment,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    return process


def name(team_id: int, email: str) -> None:
    """Have an address told of the team's alerts, whose owner agrees."""
    alerts.set_addresses(team_id, [email])
    address = alerts.address_of(alerts.token_of(team_id, email.lower()))
    assert address
    alerts.confirm(address)


def all_sent() -> bool:
    """Whether every alert is sent."""
    return not Alert.objects.filter(sent_at=None).exists()


@pytest.mark.usefixtures("member")
def test_an_alert_is_sent_to_owners_admins_and_named_addresses(
    alert: Alert, owner: User, admin: User, smtp: FakeSmtp, settings: Settings
) -> None:
    name(alert.account_id, "Finance@Example.org")
    alerts.set_addresses(alert.account_id, ["finance@example.org", "unasked@example.org"])
    with sending(smtp.port, settings):
        until(all_sent)
    # Each has an e-mail of their own, and reads nobody else's address.
    assert [letter.recipients for letter in smtp.letters] == [[admin.email], [owner.email], ["finance@example.org"]]
    assert [str(letter.message["to"]) for letter in smtp.letters] == [admin.email, owner.email, "finance@example.org"]
    alert.refresh_from_db()
    assert alert.sent_to == "admin@example.org, owner@example.org, finance@example.org"
    assert (alert.attempts, alert.error, alert.due_at) == (1, "", None)


def test_several_processes_send_one_letter_for_each_team(owner: User, smtp: FakeSmtp) -> None:
    teams = [Team.objects.create_with_owner(f"team-{number}", owner) for number in range(8)]
    processes = [another_process(EMAIL_HOST="127.0.0.1", EMAIL_PORT=str(smtp.port)) for _ in range(3)]
    for team in teams:
        alert_of(team)
    until(all_sent)
    for process in processes:
        process.communicate(timeout=PATIENCE_SECONDS)
        assert process.returncode == 0
    subjects = sorted(letter.message["subject"] for letter in smtp.letters)
    assert subjects == [f"[Parley] {team}: 50% of the daily budget of team {team} is spent" for team in teams]


def test_what_was_sent_is_not_sent_again_after_a_restart(alert: Alert, smtp: FakeSmtp, settings: Settings) -> None:
    with sending(smtp.port, settings):
        until(all_sent)
    assert alerts.claim() == []
    another = Team.objects.create_with_owner("another", User.objects.get())
    alert_of(another)
    with sending(smtp.port, settings):
        until(all_sent)
    assert [letter.message["subject"].split()[1] for letter in smtp.letters] == ["acme:", "another:"]


def test_it_tries_again_when_the_mail_server_was_away(alert: Alert, settings: Settings) -> None:
    port = free_port()
    before = timezone.now()
    with sending(port, settings):
        until(lambda: Alert.objects.get().error)
        alert.refresh_from_db()
        assert "ConnectionRefusedError" in alert.error
        assert alert.due_at
        assert timedelta(seconds=10) < alert.due_at - before < timedelta(seconds=10 + 2 * PATIENCE_SECONDS)
        with FakeSmtp(port) as smtp:
            Alert.objects.update(due_at=timezone.now())
            until(all_sent)
    assert len(smtp.letters) == 1
    alert.refresh_from_db()
    assert (alert.attempts, alert.error) == (2, "")


def test_a_process_killed_between_sending_and_noting_has_it_sent_again_when_its_claim_lapses(
    alert: Alert, smtp: FakeSmtp, settings: Settings
) -> None:
    smtp.answers.clear()
    process = another_process(EMAIL_HOST="127.0.0.1", EMAIL_PORT=str(smtp.port))
    assert smtp.has_read.wait(PATIENCE_SECONDS)
    process.kill()
    process.communicate()
    smtp.answers.set()
    # Nobody knows whether it arrived; it is left alone until the claim lapses.
    assert alerts.claim() == []
    Alert.objects.update(due_at=timezone.now())
    with sending(smtp.port, settings):
        until(all_sent)
    first, second = smtp.letters
    assert first.message["message-id"] == second.message["message-id"]


def test_a_mailbox_that_does_not_exist_does_not_keep_others_from_being_told(
    alert: Alert, team: Team, owner: User, smtp: FakeSmtp, settings: Settings
) -> None:
    name(team.pk, "gone@example.org")
    smtp.refused = {"gone@example.org"}
    with sending(smtp.port, settings):
        until(all_sent)
    assert [letter.recipients for letter in smtp.letters] == [[owner.email]]


def test_whoever_was_told_is_not_told_again_when_another_has_to_wait(
    alert: Alert, owner: User, admin: User, smtp: FakeSmtp, settings: Settings
) -> None:
    smtp.deferred = {owner.email}
    with sending(smtp.port, settings):
        until(lambda: Alert.objects.get().error)
        assert Alert.objects.get().sent_to == admin.email
        smtp.deferred = set()
        Alert.objects.update(due_at=timezone.now())
        until(all_sent)
    assert [letter.recipients for letter in smtp.letters] == [[admin.email], [owner.email]]


def test_a_newer_alert_reaches_those_who_heard_of_the_older_one(
    alert: Alert, owner: User, admin: User, mailoutbox: list[EmailMessage]
) -> None:
    alerts.note_told([alert], owner.email)
    Alert.objects.create(
        account_id=alert.account_id,
        window_start=alert.window_start,
        limit_nano=5 * NANO,
        reached_nano=4 * NANO,
        created_at=timezone.now(),
    )
    mailer.send(alerts.claim())
    assert {message.to[0]: message.subject for message in mailoutbox} == {
        admin.email: "[Parley] acme: 2 alerts",
        owner.email: "[Parley] acme: the balance is below $5.00",
    }


def test_an_alert_of_a_team_with_nobody_to_tell_is_done(
    alert: Alert, team: Team, owner: User, smtp: FakeSmtp, settings: Settings
) -> None:
    alerts.set_opt_out(team.pk, owner.pk, is_told=False)
    with sending(smtp.port, settings):
        until(all_sent)
    alert.refresh_from_db()
    assert (alert.sent_to, smtp.letters) == ("", [])


def test_a_mail_server_that_hangs_delays_neither_requests_nor_the_end(
    alert: Alert, smtp: FakeSmtp, settings: Settings
) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", smtp.port
    settings.SHUTDOWN_SECONDS = 0.2
    smtp.answers.clear()
    with ExitStack() as serving:
        server = serving.enter_context(Server())
        assert smtp.has_read.wait(PATIENCE_SECONDS)
        with Stopwatch() as watch:
            assert httpx2.get(f"{server.url}/v1/models", timeout=PATIENCE_SECONDS).status_code == 401
            serving.close()
    assert watch.seconds < 5
    assert Alert.objects.get().sent_at is None
    smtp.answers.set()
    until(lambda: "alert-mailer" not in {thread.name for thread in threading.enumerate()})


def test_without_a_mail_server_letters_are_files(alert: Alert, tmp_path: Path) -> None:
    process = another_process(DATA_DIR=str(tmp_path))
    until(all_sent)
    process.communicate(timeout=PATIENCE_SECONDS)
    (file,) = (tmp_path / "mail").iterdir()
    assert "Subject: [Parley] acme: 50% of the daily budget of team acme is spent" in file.read_text()
