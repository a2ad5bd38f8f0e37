"""What every proof does: teams with credits, many requests at once, other processes, and a look at the books after."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Final, TypeVar
from uuid import uuid4

from django.conf import settings

from accounts.models import Team
from credits import ledger
from credits.errors import LedgerError
from credits.ledger import audit
from credits.models import NANO, Account
from proofs.scratch import child_environment, database_url

Result = TypeVar("Result")

# What one request costs, and for how many of them a balance or a budget is.
COST_NANO: Final = NANO
ANSWERS: Final = 10
ANSWER_SECONDS: Final = 120


class Disproved(Exception):
    """The ledger broke a promise; the message says which."""


def must(is_so: object, sentence: str) -> None:
    """Raise Disproved unless it is so."""
    if not is_so:
        raise Disproved(sentence)


def team_with(amount_nano: int) -> int:
    """Make a team with that much to spend, and return its account's id."""
    team = Team.objects.create(slug=f"proof-{uuid4().hex[:12]}")
    if amount_nano:
        ledger.grant(team.pk, amount_nano, reason="a proof", actor="prove")
    return team.pk


def must_add_up(account_id: int) -> Account:
    """Have the whole account checked: balance, holds, budgets, charges and chain."""
    problems = audit.check(account_id)
    must(not problems, "; ".join(problems[:3]))
    return Account.objects.get(pk=account_id)


async def take(
    account_id: int,
    amount_nano: int,
    *,
    project: str = "project-0",
    key: str = "key-0",
    seconds: float = 60,
    wait_seconds: float = 0,
) -> ledger.Held:
    """Take a hold for a run of its own."""
    return await ledger.hold(
        account_id,
        amount_nano,
        run=uuid4().hex,
        project=project,
        key=key,
        seconds=seconds,
        wait_seconds=wait_seconds,
    )


async def outcomes(awaitables: Iterable[Awaitable[Result]]) -> list[Result | LedgerError]:
    """Await all at once, in order; what the ledger refuses is an outcome too."""
    ended = await asyncio.gather(*awaitables, return_exceptions=True)
    for outcome in ended:
        if isinstance(outcome, BaseException) and not isinstance(outcome, LedgerError):
            raise outcome
    return ended  # type: ignore[return-value]  # every other error was raised


class Child:
    """Another process on the same database; ``ask`` has it do a task of ``proofs.child``."""

    def __init__(self, output: IO[bytes] | None = None) -> None:
        """Start it; what it prints goes to the file, if there is one, and cannot be asked for then."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "proofs.child"],
            stdin=subprocess.PIPE,
            stdout=output or subprocess.PIPE,
            env=child_environment(database_url()),
            cwd=Path(settings.BASE_DIR),
        )

    def __enter__(self) -> "Child":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def tell(self, task: str, *arguments: object) -> None:
        """Give it a task and go on; it starts when it has started itself."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps([task, *arguments]).encode() + b"\n")
        self._process.stdin.flush()

    def answer(self) -> object:
        """Wait for what came of the task."""
        assert self._process.stdout
        line = self._process.stdout.readline()
        must(line, "a process ended before it had answered")
        return json.loads(line)

    def ask(self, task: str, *arguments: object) -> object:
        """Give it a task and wait for what comes of it."""
        self.tell(task, *arguments)
        return self.answer()

    def kill(self) -> None:
        """End it without a warning, as ``kill -9`` does."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(BrokenPipeError):
                if pipe:
                    pipe.close()
