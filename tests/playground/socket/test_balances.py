"""An open page's balance follows whatever anybody does to it."""

import asyncio

from asgiref.sync import sync_to_async
from django.db import connection

from credits import ledger
from credits.models import Account
from playground.socket import balances
from tests.fakes.tgi import FakeTgi
from tests.patience import Stopwatch, eventually
from tests.playground.cast import PROJECT, Cast
from tests.playground.tab import tab

TEN_DOLLARS = 10_000_000_000


async def test_a_grant_and_a_correction_reach_every_open_page_within_a_second(cast: Cast, tgi: FakeTgi) -> None:
    async with tab(cast.viewer) as chat, tab(cast.owner) as other:
        for page in (chat, other):
            await page.say(type="watch", project=PROJECT)
            assert (await page.hear("balance"))["balance_nano"] == str(TEN_DOLLARS)
        for amount_nano, post in ((5, ledger.agrant), (-7, ledger.acorrect)):
            expected = TEN_DOLLARS + (5 if amount_nano > 0 else -2)
            with Stopwatch() as watch:
                await post(cast.team.pk, amount_nano, reason="for the tests", actor="tests")
                for page in (chat, other):
                    while (await page.hear("balance"))["balance_nano"] != str(expected):
                        pass
            assert watch.seconds < 1


async def test_a_page_hears_of_a_balance_once_and_of_the_team_it_watches_only(cast: Cast, tgi: FakeTgi) -> None:
    async with tab(cast.member) as chat:
        await ledger.agrant(cast.team.pk, 1, reason="for the tests", actor="tests")
        await asyncio.sleep(2 * balances.LOOK_SECONDS)
        assert await chat.socket.receive_nothing(timeout=0.1)
        await chat.say(type="watch", project=PROJECT)
        await chat.hear("balance")
        await asyncio.sleep(2 * balances.LOOK_SECONDS)
        assert await chat.socket.receive_nothing(timeout=0.1)


async def test_a_database_that_is_away_for_a_while_is_looked_at_again(cast: Cast, tgi: FakeTgi) -> None:
    def rename(old: str, new: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE {old} RENAME TO {new}")

    table = Account._meta.db_table
    async with tab(cast.member) as chat:
        await chat.say(type="watch", project=PROJECT)
        await chat.hear("balance")
        await sync_to_async(rename)(table, "away")
        await asyncio.sleep(2 * balances.LOOK_SECONDS)
        await sync_to_async(rename)("away", table)
        await ledger.agrant(cast.team.pk, 1, reason="for the tests", actor="tests")
        assert (await chat.hear("balance"))["balance_nano"] == str(TEN_DOLLARS + 1)


async def test_nobody_looks_when_no_page_is_open(cast: Cast, tgi: FakeTgi) -> None:
    async with tab(cast.member):
        assert asyncio.get_running_loop() in balances._lookouts
    await eventually(lambda: asyncio.get_running_loop() not in balances._lookouts)
