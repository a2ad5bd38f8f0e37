import threading
from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from accounts import keys
from accounts.auth import last_used
from accounts.models import ApiKey
from tests.accounts.scenes import queries, until_remembered
from tests.patience import Stopwatch, until

pytestmark = [pytest.mark.either_database, pytest.mark.django_db(transaction=True)]


def last_use() -> datetime | None:
    return ApiKey.objects.values_list("last_used_at", flat=True).get()


def writers() -> int:
    return sum(thread.name == "accounts-last-used" for thread in threading.enumerate())


def test_a_keys_last_use_is_written_behind_the_hot_path(api_key: str) -> None:
    assert last_use() is None
    until_remembered(lambda: keys.authenticate(api_key, None))
    until(lambda: last_use() is not None)
    until(lambda: writers() == 0)


def test_it_is_written_about_once_a_minute(api_key: str) -> None:
    keys.authenticate(api_key, None)
    until(lambda: last_use() is not None)
    until(lambda: writers() == 0)
    first = last_use()
    keys.authenticate(api_key, None)
    assert writers() == 0
    assert last_use() == first


def test_a_use_written_lately_by_another_process_is_left_alone(api_key: str) -> None:
    lately = timezone.now() - timedelta(seconds=5)
    ApiKey.objects.update(last_used_at=lately)
    keys.authenticate(api_key, None)
    until(lambda: writers() == 0)
    assert last_use() == lately


def test_a_refused_key_was_not_used(api_key: str) -> None:
    ApiKey.objects.update(revoked_at=timezone.now())
    queries(lambda: keys.authenticate(api_key, None))
    assert writers() == 0


def test_the_writer_ends_when_told_to(api_key: str) -> None:
    keys.authenticate(api_key, None)
    assert writers() == 1
    with Stopwatch() as watch:
        last_used.stop()
    assert writers() == 0
    assert watch.seconds < 2
