"""``manage.py verify_ledger [TEAM] [--file FILE]``."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from core.text import escaped
from credits.ledger import audit, export
from credits.ledger.export import Head, Tampered
from credits.models import Account
from credits.money import format_dollars


class Command(BaseCommand):
    """Checks ledgers in the database, or an exported one without any database."""

    help = "Check that every entry fits: of one team, of all teams, or of an exported file (which needs no database)."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the arguments."""
        parser.add_argument("team", nargs="?", help="the team's name; every team, if neither this nor a file is given")
        parser.add_argument(
            "--file", type=Path, help="an export; with a team, the database must still contain all that was exported"
        )

    def handle(self, *, team: str | None, file: Path | None, **options: Any) -> None:
        """Verify, and name the first thing that does not fit."""
        head = self._verify_file(file) if file else None
        if head is None or team:
            self._verify_database(team, head)

    def _verify_file(self, file: Path) -> Head:
        try:
            with file.open(encoding="utf-8", newline="\n") as lines:
                head = export.verify(lines)
        except Tampered as problem:
            raise CommandError(f"{file}: {problem}") from problem
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"{file} cannot be read: {error}") from error
        self._report(f"{file}, {head.team}", head.entries, head.balance_nano, head.hash)
        return head

    def _verify_database(self, team: str | None, exported: Head | None) -> None:
        accounts = Account.objects.select_related("team").order_by("pk")
        chosen = list(accounts.filter(team__slug=team) if team else accounts)
        if team and not chosen:
            raise CommandError(f"There is no team {team!r} with credits.")
        problems = [problem for account in chosen if (problem := self._problem(account, exported))]
        if problems:
            raise CommandError("\n".join(problems))

    def _problem(self, account: Account, exported: Head | None) -> str:
        """Return the first problem of an account, or report that there is none."""
        problems = audit.check(account.pk)
        if not problems and exported:
            try:
                export.check_continues(exported)
            except Tampered as problem:
                problems = [str(problem)]
            if exported.account != account.pk:
                problems = [f"the file is of account {exported.account}, not of {account.team.slug}"]
        if problems:
            return f"{account.team.slug}: {problems[0]}"
        self._report(account.team.slug, account.entry_count, account.balance_nano, account.entry_hash)
        return ""

    def _report(self, name: str, entries: int, balance_nano: int, last_hash: str) -> None:
        fit = "1 entry fits" if entries == 1 else f"{entries} entries fit"
        self.stdout.write(escaped(f"{name}: {fit}, balance {format_dollars(balance_nano)}, hash {last_hash}"))
