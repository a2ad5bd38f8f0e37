import asyncio
import json
import math
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction

from accounts.models import Team
from credits import ledger
from credits.errors import InsufficientCredits, InvalidAmount, UnknownAccount
from credits.models import Account, Entry
from credits.money import MAX_AMOUNT_NANO
from tests.credits.scenes import DOLLAR, take

pytestmark = [pytest.mark.either_database, pytest.mark.django_db(transaction=True)]


def test_a_grant_opens_the_account_and_names_its_reason(team: Team) -> None:
    newcomer = Team.objects.create(slug="newcomer")
    posting = ledger.grant(newcomer.pk, 5 * DOLLAR, reason="pilot", actor="ada@example.org")
    assert posting == ledger.Posting(newcomer.pk, sequence=1, amount_nano=5 * DOLLAR, balance_nano=5 * DOLLAR)
    entry = Entry.objects.get(account=newcomer.pk)
    assert (entry.kind, entry.reason, entry.actor) == ("grant", "pilot", "ada@example.org")


def test_a_grant_inside_an_open_transaction_shares_its_fate(team: Team, account: Account) -> None:
    with transaction.atomic():
        ledger.grant(team.pk, DOLLAR, reason="a slip", actor="ada@example.org")
        transaction.set_rollback(True)
    account.refresh_from_db()
    assert account.balance_nano == 10 * DOLLAR


@pytest.mark.parametrize("amount", [0, -1, True, 1.0, math.nan, math.inf, "5", None, MAX_AMOUNT_NANO + 1])
def test_a_grant_of_no_true_amount_is_refused(team: Team, amount: int) -> None:
    with pytest.raises(InvalidAmount):
        ledger.grant(team.pk, amount, reason="r", actor="a")


@pytest.mark.parametrize(("reason", "actor"), [("", "a"), ("r", ""), (" ", "a"), ("a\x00b", "a"), ("r" * 501, "a")])
def test_a_grant_must_explain_itself(team: Team, reason: str, actor: str) -> None:
    with pytest.raises(ValueError, match="printable"):
        ledger.grant(team.pk, 1, reason=reason, actor=actor)


def test_a_balance_beyond_reason_is_refused(team: Team) -> None:
    with pytest.raises(InvalidAmount):
        ledger.grant(team.pk, MAX_AMOUNT_NANO, reason="r", actor="a")


def test_a_team_that_does_not_exist_gets_nothing(team: Team) -> None:
    with pytest.raises(UnknownAccount):
        ledger.grant(999_999, 1, reason="r", actor="a")


def test_a_correction_appends_an_opposite_entry_and_never_eats_into_holds(team: Team) -> None:
    asyncio.run(take(team.pk, 4 * DOLLAR))
    with pytest.raises(InsufficientCredits) as refusal:
        ledger.correct(team.pk, -7 * DOLLAR, reason="granted twice", actor="a")
    assert (refusal.value.available_nano, refusal.value.needed_nano) == (6 * DOLLAR, 7 * DOLLAR)
    assert ledger.correct(team.pk, -6 * DOLLAR, reason="granted twice", actor="a").balance_nano == 4 * DOLLAR
    assert asyncio.run(ledger.acorrect(team.pk, 1, reason="a coin", actor="a")).balance_nano == 4 * DOLLAR + 1
    with pytest.raises(InvalidAmount):
        ledger.correct(team.pk, 0, reason="nothing", actor="a")


def test_grants_from_coroutines_add_up(team: Team, account: Account) -> None:
    async def scene() -> None:
        await asyncio.gather(*(ledger.agrant(team.pk, 1, reason="drop", actor="a") for _ in range(40)))

    asyncio.run(scene())
    account.refresh_from_db()
    assert (account.balance_nano, account.entry_count) == (10 * DOLLAR + 40, 41)


def test_the_command_grants_exact_decimals(team: Team) -> None:
    output = StringIO()
    call_command("grant_credits", "analysts", "2.000000001", "--reason", "pilot", "--json", stdout=output)
    assert json.loads(output.getvalue()) == {
        "team": "analysts",
        "granted": "2.000000001",
        "balance": "12.000000001",
        "balance_nano": 12_000_000_001,
        "entry": 2,
    }
    assert Entry.objects.get(sequence=2).actor == "manage.py"
    call_command("grant_credits", "analysts", "1", "--reason", "pilot", stdout=output)
    assert "Granted $1.00 to analysts: its balance is $13.000000001." in output.getvalue()


@pytest.mark.parametrize("dollars", ["NaN", "inf", "1e3", "0", "1.0000000001", "1,5", "", "9" * 12, "\u0661", "1_0"])
def test_the_command_refuses_what_is_no_amount(team: Team, dollars: str) -> None:
    with pytest.raises(CommandError):
        call_command("grant_credits", "analysts", dollars, "--reason", "pilot")


def test_the_command_refuses_a_negative_amount_an_unknown_team_and_no_reason(team: Team) -> None:
    for arguments in (["analysts", "--", "-5"], ["strangers", "5"]):
        with pytest.raises(CommandError):
            call_command("grant_credits", "--reason", "pilot", *arguments)
    with pytest.raises(CommandError):
        call_command("grant_credits", "analysts", "5", "--reason", "")


@pytest.mark.parametrize(
    ("dollars", "said"),
    [
        ("-5", "-$5.00 is below the smallest amount, $0.000000001"),
        ("1000000001", "$1,000,000,001.00 is beyond the largest amount, $1,000,000,000.00"),
        ("9" * 13, "'9999999999999' is beyond the largest amount, $1,000,000,000.00"),
    ],
)
def test_the_command_answers_in_dollars(team: Team, dollars: str, said: str) -> None:
    with pytest.raises(CommandError) as refused:
        call_command("grant_credits", "--reason", "pilot", "analysts", "--", dollars)
    assert str(refused.value) == said
