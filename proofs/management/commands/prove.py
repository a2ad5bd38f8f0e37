"""``manage.py prove [--scale reduced|full] [--only NAME…] [--also MODULE] [--report FILE]``."""

import json
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any, Final, NoReturn

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from proofs.run import Finding, proofs
from proofs.scratch import Scratch, child_environment, database_version, scratch

LEDGER_ALONE: Final = (
    "These are proofs of the ledger itself. Those that go through web processes (killed under load, and two hundred "
    "requests at once over HTTP) need the repository's tests and their stand-in for a model's server: `make prove` "
    "there runs both."
)


class Command(BaseCommand):
    """Proves the ledger's promises on this installation's database, beside its rows, and writes a report."""

    help = "Prove on your own database that credits cannot be wrong; works in a scratch database, removed at the end."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the arguments."""
        parser.add_argument(
            "--scale", choices=["reduced", "full"], default="reduced", help="full takes several minutes"
        )
        parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="some of the proofs")
        parser.add_argument(
            "--also", action="append", default=[], metavar="MODULE", help="a module with proofs of its own, besides"
        )
        parser.add_argument("--report", type=Path, help="where to write the report; DATA_DIR/proof-<date>.md otherwise")

    def handle(self, *, scale: str, only: list[str], also: list[str], report: Path | None, **options: Any) -> None:
        """Run every proof, say what came of it, and fail if one did."""
        known = [proof.name for proof in proofs(also)]
        if unknown := [name for name in only if name not in known]:
            raise CommandError(f"There is no proof {unknown[0]!r}; there are {', '.join(known)}.")
        version = database_version()
        self.stdout.write(f"Proving on {version}, at {scale} scale.")
        findings = []
        with _stopped_by_signals(), scratch() as place:
            for finding in _run(place, scale, only, also):
                findings.append(finding)
                sign = "proved   " if finding.is_proved else "DISPROVED"
                self.stdout.write(f"{sign} {finding.title} ({finding.seconds:.1f} s): {finding.sentence}")
        path = report or Path(settings.DATA_DIR) / f"proof-{timezone.now():%Y-%m-%d}.md"
        path.write_text(_written(findings, version, scale, through_the_web=bool(also)))
        self.stdout.write(f"Report: {path}")
        if not all(finding.is_proved for finding in findings):
            raise CommandError("A promise was broken; the report says which.")


def _run(place: Scratch, scale: str, names: list[str], also: list[str]) -> Iterator[Finding]:
    """Run the proofs in a process whose only database is the scratch database; nothing of it is left at the end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "proofs.run", scale, *names, *(f"--also={module}" for module in also)],
        stdout=subprocess.PIPE,
        text=True,
        env=child_environment(place.url),
        cwd=Path(settings.BASE_DIR),
        # A group of its own, so that the processes that it starts end with it.
        start_new_session=True,
    )
    place.ends(process.pid)
    assert process.stdout
    try:
        for line in process.stdout:
            yield Finding(**json.loads(line))
        if process.wait() not in (0, 1):
            raise CommandError("The proofs did not run to their end.")
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """Turn SIGTERM and SIGINT, which a background process ignores, into an exception: the scratch database goes."""

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _written(findings: list[Finding], version: str, scale: str, *, through_the_web: bool) -> str:
    """Write the report."""
    proved = sum(finding.is_proved for finding in findings)
    total = sum(finding.seconds for finding in findings)
    lines = [
        "# Proof of credits",
        "",
        f"**{proved} of {len(findings)} proved**, at {scale} scale, in {total:.0f} seconds.",
        "",
        f"- When: {timezone.now():%Y-%m-%d %H:%M} UTC",
        f"- Database: {version}, in a scratch database that is gone now; no row of this installation was touched",
        f"- Python {platform.python_version()} on {platform.system()} {platform.machine()}, {os.cpu_count()} CPUs",
        "",
        "| | What was proved | Seconds | What was seen |",
        "|---|---|---|---|",
    ]
    for finding in findings:
        sign = "✓" if finding.is_proved else "✗"
        seen = finding.sentence.replace("|", "\\|").replace("\n", " ")
        lines.append(f"| {sign} | {finding.title} | {finding.seconds:.1f} | {seen} |")
    if not through_the_web:
        lines += ["", LEDGER_ALONE]
    return "\n".join([*lines, ""])
