import pytest

from accounts.models import Team
from credits import ledger
from credits.errors import InvalidAmount
from credits.models import Alert
from tests.credits.scenes import DOLLAR, spend

pytestmark = [pytest.mark.either_database, pytest.mark.django_db(transaction=True)]


def test_crossing_a_threshold_is_recorded_once_in_a_window(team: Team) -> None:
    ledger.set_budget(team.pk, scope="team", period="day", limit_nano=4 * DOLLAR)
    for _ in range(3):
        spend(team.pk, DOLLAR)
    assert [alert.percent for alert in ledger.pending_alerts()] == [50]
    spend(team.pk, DOLLAR)
    alerts = ledger.pending_alerts()
    assert [alert.percent for alert in alerts] == [50, 80, 90, 100]
    assert (alerts[-1].limit_nano, alerts[-1].reached_nano) == (4 * DOLLAR, 4 * DOLLAR)
    ledger.set_budget(team.pk, scope="team", period="day", limit_nano=7 * DOLLAR)
    spend(team.pk, 3 * DOLLAR)
    assert Alert.objects.count() == 4


def test_a_limit_set_below_what_was_spent_is_an_alert_too(team: Team) -> None:
    spend(team.pk, DOLLAR)
    ledger.set_budget(team.pk, scope="team", period="total", limit_nano=DOLLAR, alert_percents=[100])
    assert [alert.percent for alert in ledger.pending_alerts()] == [100]


def test_a_low_balance_is_recorded_once_a_day(team: Team) -> None:
    ledger.set_low_balance(team.pk, 8 * DOLLAR)
    spend(team.pk, 2 * DOLLAR)
    assert ledger.pending_alerts() == []
    spend(team.pk, DOLLAR)
    (alert,) = ledger.pending_alerts()
    assert (alert.budget, alert.percent, alert.limit_nano, alert.reached_nano) == (None, None, 8 * DOLLAR, 7 * DOLLAR)
    ledger.grant(team.pk, 5 * DOLLAR, reason="more", actor="a")
    spend(team.pk, 6 * DOLLAR)
    assert Alert.objects.count() == 1
    with pytest.raises(InvalidAmount):
        ledger.set_low_balance(team.pk, -1)


def test_an_alert_is_sent_by_one_process_only(team: Team) -> None:
    ledger.set_low_balance(team.pk, 10 * DOLLAR)
    spend(team.pk, 1)
    (alert,) = ledger.pending_alerts()
    assert ledger.mark_sent(alert.pk)
    assert not ledger.mark_sent(alert.pk)
    assert ledger.pending_alerts() == []
