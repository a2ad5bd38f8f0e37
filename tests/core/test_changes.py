import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.utils import timezone

from accounts import keys
from accounts.errors import IdentityError, ProjectOutsideScope, RevokedKey, UnknownUser
from accounts.models import TOPIC, ApiKey, Membership, Project, Team, User
from core import changes, clock, triggers
from tests.accounts.scenes import ROOT, environment, manage, outcome, until_remembered
from tests.patience import PATIENCE_SECONDS, until, within

pytestmark = [pytest.mark.either_database, pytest.mark.django_db(transaction=True)]


def stamp() -> int | None:
    """Return the topic's stamp; there is none while the watcher is kept from its work."""
    until(lambda: changes.stamp(TOPIC) is not None)
    return changes.stamp(TOPIC)


def revoked_by_update() -> None:
    ApiKey.objects.update(revoked_at=timezone.now())


def revoked_by_raw_sql() -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE accounts_apikey SET revoked_at = created_at")


def removed_from_the_team() -> None:
    Membership.objects.filter(user__email="member@example.org").delete()


def made_a_viewer() -> None:
    Membership.objects.filter(user__email="member@example.org").update(role="viewer")


def deactivated() -> None:
    User.objects.filter(email="member@example.org").update(is_active=False)


def moved_to_another_team() -> None:
    Project.objects.filter(team__slug="acme").update(team=Team.objects.create(slug="other"))


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (revoked_by_update, RevokedKey),
        (revoked_by_raw_sql, RevokedKey),
        (removed_from_the_team, UnknownUser),
        (made_a_viewer, UnknownUser),
        (deactivated, UnknownUser),
        (moved_to_another_team, ProjectOutsideScope),
    ],
)
def test_a_change_ends_the_keys_power_within_a_second(
    api_key: str, change: Callable[[], None], error: type[IdentityError]
) -> None:
    until_remembered(lambda: keys.authenticate(api_key, None))
    change()
    within(1, lambda: outcome(lambda: keys.authenticate(api_key, None)) is error)


def test_a_disabled_team_and_a_renamed_project_are_seen_within_a_second(api_key: str, team: Team) -> None:
    until_remembered(lambda: keys.authenticate(api_key, None))
    Team.objects.filter(pk=team.pk).update(is_enabled=False)
    within(1, lambda: not keys.authenticate(api_key, None).team_enabled)
    team.projects.update(slug="renamed")
    within(1, lambda: keys.authenticate(api_key, None).path == "acme/renamed")


def test_a_change_rolled_back_does_nothing_and_one_is_heard_only_after_its_commit(api_key: str) -> None:
    until_remembered(lambda: keys.authenticate(api_key, None))
    before = stamp()
    with transaction.atomic():
        ApiKey.objects.update(revoked_at=timezone.now())
        transaction.set_rollback(True)
    time.sleep(0.7)
    assert stamp() == before
    assert outcome(lambda: keys.authenticate(api_key, None)) is None


def test_manage_py_in_another_process_ends_the_keys_power_within_a_second(api_key: str) -> None:
    until_remembered(lambda: keys.authenticate(api_key, None))
    finished = manage("revoke_key", ApiKey.objects.get().id)
    assert finished.returncode == 0, finished.stderr
    within(1, lambda: outcome(lambda: keys.authenticate(api_key, None)) is RevokedKey)


def test_another_process_hears_of_our_change_within_a_second_and_then_ends_by_itself(api_key: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "tests.accounts.child", api_key],
        cwd=ROOT,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.readline() == "remembered\n", process.stderr.read()
        revoked_by_update()
        _, complaint = process.communicate("revoked\n", timeout=PATIENCE_SECONDS)
        assert (process.returncode, complaint) == (0, "")


def test_many_threads_are_all_refused_within_a_second(api_key: str) -> None:
    until_remembered(lambda: keys.authenticate(api_key, None))
    refused: list[str] = []

    def use_it() -> None:
        try:
            until(lambda: outcome(lambda: keys.authenticate(api_key, None)) is RevokedKey)
            refused.append(threading.current_thread().name)
        finally:
            connection.close()

    threads = [threading.Thread(target=use_it) for _ in range(8)]
    for thread in threads:
        thread.start()
    time.sleep(0.2)
    revoked_by_update()
    within(1, lambda: len(refused) == 8)
    for thread in threads:
        thread.join()


def test_a_subscriber_is_called_after_a_change_even_if_another_one_fails(team: Team) -> None:
    calls: list[str] = []

    def fail() -> None:
        calls.append("failing")
        raise ValueError("a subscriber's own trouble")

    def listen() -> None:
        calls.append(threading.current_thread().name)

    changes.subscribe(TOPIC, fail)
    changes.subscribe(TOPIC, listen)
    changes.subscribe(TOPIC, listen)
    until(changes.is_watching)
    calls.clear()
    Team.objects.update(is_enabled=False)
    within(1, lambda: calls == ["failing", "accounts-changes"])
    changes.unsubscribe(TOPIC, fail)
    changes.unsubscribe(TOPIC, listen)
    calls.clear()
    Team.objects.update(is_enabled=True)
    time.sleep(0.7)
    assert calls == []


def test_last_use_and_last_login_are_not_changes(api_key: str) -> None:
    until_remembered(lambda: keys.authenticate(api_key, None))
    before = stamp()
    ApiKey.objects.update(last_used_at=timezone.now())
    User.objects.update(last_login=timezone.now())
    time.sleep(0.7)
    assert stamp() == before


def test_without_its_triggers_nothing_is_remembered_and_migrate_brings_them_back(api_key: str) -> None:
    until_remembered(lambda: keys.authenticate(api_key, None))
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("DROP TRIGGER accounts_apikey_notify_accounts ON accounts_apikey")
        else:
            cursor.execute("DROP TRIGGER accounts_apikey_count_accounts_update")
    within(1, lambda: changes.stamp(TOPIC) is None)
    revoked_by_update()
    assert outcome(lambda: keys.authenticate(api_key, None)) is RevokedKey
    call_command("migrate", verbosity=0)
    until(changes.is_watching)
    ApiKey.objects.update(revoked_at=None)
    within(1, lambda: outcome(lambda: keys.authenticate(api_key, None)) is None)


def test_triggers_can_be_created_again_at_any_time_and_that_counts_as_a_change(api_key: str) -> None:
    until_remembered(lambda: keys.authenticate(api_key, None))
    before = stamp()
    triggers.create()
    within(1, lambda: changes.stamp(TOPIC) not in (before, None))


@pytest.mark.postgresql_only
def test_a_lost_connection_is_noticed_and_made_again(api_key: str) -> None:
    until_remembered(lambda: keys.authenticate(api_key, None))
    before = stamp()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE pid <> pg_backend_pid() AND datname = current_database() AND query LIKE '%%tgenabled%%'"
        )
        assert len(cursor.fetchall()) == 1
    revoked_by_update()
    within(1, lambda: outcome(lambda: keys.authenticate(api_key, None)) is RevokedKey)
    until(lambda: changes.stamp(TOPIC) not in (None, before))
    ApiKey.objects.update(revoked_at=None)
    within(1, lambda: outcome(lambda: keys.authenticate(api_key, None)) is None)


def test_stopping_forgets_and_the_next_use_starts_again(api_key: str) -> None:
    until_remembered(lambda: keys.authenticate(api_key, None))
    before = stamp()
    changes.stop()
    assert "accounts-changes" not in {thread.name for thread in threading.enumerate()}
    until(lambda: changes.stamp(TOPIC) not in (None, before))


def test_what_ends_by_itself_is_announced_at_its_moment() -> None:
    stamp()
    heard: list[float] = []
    callback = lambda: heard.append(clock.timestamp())  # noqa: E731
    changes.subscribe(TOPIC, callback)
    try:
        until(lambda: changes.stamp(TOPIC) is not None)
        heard.clear()
        moment = clock.timestamp() + 2
        for _ in range(2):
            changes.announce_at(TOPIC, moment)
        until(lambda: heard)
        assert 0 <= heard[0] - moment < 1
        # Once is enough.
        before = changes.stamp(TOPIC)
        within(2, lambda: clock.timestamp() > moment + 1.5)
        assert (len(heard), changes.stamp(TOPIC)) == (1, before)
    finally:
        changes.unsubscribe(TOPIC, callback)
