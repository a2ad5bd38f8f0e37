"""Two hundred requests at once over HTTP, on a balance or a budget for exactly ten, of which every third goes away."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx2

from accounts.models import Team
from credits.budgets import limits
from credits.budgets.rows import KEY, PROJECT, TEAM
from credits.models import Budget, Entry, Hold
from inference.models import Run
from proofs.checks import must, must_add_up
from tests.fakes.server import Connection, Request
from tests.fakes.tgi import FakeTgi
from tests.inference.scenes import HELLO, asked, cost_nano
from tests.patience import eventually, within
from tests.proofs.customers import Customer, customer, model_on, web_processes

REQUESTS: Final = 200
ANSWERS: Final = 10
PROCESSES: Final = 4
MAX_TOKENS: Final = 5
COST_NANO: Final = cost_nano(MAX_TOKENS)
SCOPES: Final = (TEAM, PROJECT, KEY)
LEAVING: Final = [HELLO[0], {"role": "user", "content": "Who leaves?"}]
LEAVING_SECONDS: Final = 0.5
# Nobody who can be paid for is to give up, however slow the machine is.
SETTINGS: Final = {"PROJECT_CONCURRENCY": "400", "HOLD_WAIT_SECONDS": "150"}
PATIENCE_SECONDS: Final = 170


class PatientTgi(FakeTgi):
    """A TGI that never begins to answer those who will leave."""

    async def answer(self, request: Request, connection: Connection) -> None:
        """Answer, or be silent until the client is gone."""
        if request.path == "/v1/chat/completions" and LEAVING[1]["content"].encode() in request.body:
            await asyncio.Event().wait()
        await super().answer(request, connection)


@dataclass(frozen=True)
class ManyRequests:
    """Web processes that share a database, and a model."""

    urls: Sequence[str]
    model: str
    engine: FakeTgi

    def ask(self, who: Customer, tightest: str = "") -> None:
        """Ask all at once; exactly ten are answered, and all others hear that the tightest limit is used up."""
        stayed = asyncio.run(self._ask_all(who.secret))
        told = Counter(answer.status_code for answer in stayed)
        must(told == {200: ANSWERS, 402: len(stayed) - ANSWERS}, f"requests were answered with {dict(told)}")
        for answer in stayed:
            if answer.status_code == 200:
                must(b'"finish_reason":"length"' in answer.content, "an answer was cut short")
            else:
                message = answer.json()["error"]["message"]
                must(tightest in message, f"{message!r} does not name the {tightest}")
        # Those who left are let go of a moment later.
        within(60, lambda: not Hold.objects.filter(account=who.team.pk, state=Hold.State.OPEN).exists())
        _must_be_ten_charges(who.team)

    async def _ask_all(self, secret: str) -> list[httpx2.Response]:
        """Have every third ask first and leave when all others wait behind them; return what the others were told."""
        limits, headers = httpx2.Limits(max_connections=None), {"authorization": f"Bearer {secret}"}
        before = len(asked(self.engine))
        async with httpx2.AsyncClient(headers=headers, limits=limits, timeout=PATIENCE_SECONDS) as client:
            leaving = [asyncio.create_task(self._ask(client, number, LEAVING)) for number in range(0, REQUESTS, 3)]
            await eventually(lambda: len(asked(self.engine)) > before, PATIENCE_SECONDS)
            staying = [
                asyncio.create_task(self._ask(client, number, HELLO)) for number in range(REQUESTS) if number % 3
            ]
            await asyncio.sleep(LEAVING_SECONDS)
            for request in leaving:
                must(not request.done(), "a request that was never answered has ended")
                request.cancel()
            await asyncio.wait(leaving)
            return await asyncio.gather(*staying)

    async def _ask(self, client: httpx2.AsyncClient, number: int, messages: Any) -> httpx2.Response:
        """Ask one of the processes, for a stream or a whole answer."""
        body = {"model": self.model, "messages": messages, "max_tokens": MAX_TOKENS, "stream": number % 2 == 0}
        return await client.post(f"{self.urls[number % len(self.urls)]}/v1/chat/completions", json=body)

    @property
    def left_after_holding(self) -> int:
        """How many went away when the engine had their request, and so when credits were held for them."""
        return sum(request.closed_at is not None for request in asked(self.engine))


def balance_for_ten(rounds: int) -> str:
    """Requests at once on a balance for exactly ten, at one web process."""
    return _on_balance(rounds, 1)


def processes_for_ten(rounds: int) -> str:
    """The same at four web processes."""
    return _on_balance(rounds, PROCESSES)


def budgets_for_ten(rounds: int) -> str:
    """Requests at once under budgets of key, project and team, of which one in turn is for exactly ten."""
    with PatientTgi() as engine, web_processes(1, **SETTINGS) as urls:
        requests = ManyRequests(urls, model_on(engine), engine)
        for number in range(rounds):
            who = customer(10 * ANSWERS * COST_NANO)
            tightest = _set_budgets(who, SCOPES[number % len(SCOPES)])
            requests.ask(who, f"the total budget of the {tightest.scope}")
            tightest.refresh_from_db()
            used_up = (tightest.spent_nano, tightest.held_nano) == (tightest.limit_nano, 0)
            must(used_up, f"the {tightest} is not used up")
    return _told(rounds, "under the tightest of three budgets", 1, requests)


def _on_balance(rounds: int, processes: int) -> str:
    with PatientTgi() as engine, web_processes(processes, **SETTINGS) as urls:
        requests = ManyRequests(urls, model_on(engine), engine)
        for _ in range(rounds):
            who = customer(ANSWERS * COST_NANO)
            requests.ask(who)
            account = must_add_up(who.team.pk)
            must((account.balance_nano, account.held_nano) == (0, 0), f"{account.balance_nano} were left")
    return _told(rounds, "on a balance", processes, requests)


def _set_budgets(who: Customer, tight: str) -> Budget:
    """Set a budget at each scope, the tight one for exactly ten answers, and return that."""
    references = {TEAM: "", PROJECT: str(who.project.pk), KEY: who.key_id}
    budgets = {
        scope: limits.set_budget(
            who.team.pk,
            scope=scope,
            reference=references[scope],
            period="total",
            limit_nano=(ANSWERS if scope == tight else ANSWERS + 2) * COST_NANO,
        )
        for scope in SCOPES
    }
    return budgets[tight]


def _must_be_ten_charges(team: Team) -> None:
    must_add_up(team.pk)
    charges = Entry.objects.filter(account=team.pk, kind=Entry.Kind.CHARGE)
    charged = dict(charges.values_list("run", "amount_nano"))
    must(len(charged) == charges.count(), "a run was charged twice")
    must(list(charged.values()) == [-COST_NANO] * ANSWERS, f"the charges are {list(charged.values())}")
    must(not charges.exclude(lost_nano=0).exists(), "an answer cost more than was left")
    rows = Run.objects.filter(project__team=team, cost_nano__gt=0)
    must(dict(rows.values_list("id", "cost_nano")) == dict.fromkeys(charged, COST_NANO), "a charge has no run")


def _told(rounds: int, on: str, processes: int, requests: ManyRequests) -> str:
    return (
        f"{rounds} times {REQUESTS} requests at once to {processes} web process{'es' if processes > 1 else ''} "
        f"{on} for exactly {ANSWERS}, of which every third went away, {requests.left_after_holding} of them while "
        f"credits were held: {rounds * ANSWERS} answered, nothing overspent, none refused while credits were left."
    )
