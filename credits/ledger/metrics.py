"""What the ledger counts for Prometheus. For graphs and alarms: the entries are the truth about money."""

from collections.abc import Sequence

from prometheus_client import Counter, Gauge, Histogram

from credits.errors import InsufficientCredits
from credits.ledger.operations import Extend, Held, Operation, Settlement, Take
from credits.money import NANO

_HOLDS = Counter(
    "parley_holds",
    "Holds: taken, extended, refused for want of credits, or blocked by other holds, after which a request may wait.",
    ["outcome"],
)
_CHARGED = Counter("parley_charged_dollars", "What accounts were charged.")
_LOST = Counter("parley_lost_dollars", "What was delivered and could not be charged.")
_GROUP = Histogram(
    "parley_ledger_group_operations", "Operations in one transaction.", buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256)
)
_COMMIT = Histogram(
    "parley_ledger_commit_seconds",
    "One transaction of the ledger, tries included.",
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 20),
)
_JOURNALED = Counter(
    "parley_journal_settlements",
    "Settlements that the database could not take: kept in the journal, or lost because it could not take them either.",
    ["outcome"],
)
_WAITING = Gauge(
    "parley_journal_waiting", "Settlements in the journal that the database does not have.", multiprocess_mode="livesum"
)

_taken, _extended = _HOLDS.labels("taken"), _HOLDS.labels("extended")
_refused, _blocked = _HOLDS.labels("refused"), _HOLDS.labels("blocked")


def committed(operations: Sequence[Operation[object]], outcomes: Sequence[object], seconds: float) -> None:
    """Count one group; called on the writer's own thread."""
    _GROUP.observe(len(operations))
    _COMMIT.observe(seconds)
    charged_nano = lost_nano = 0
    for operation, outcome in zip(operations, outcomes, strict=True):
        match outcome:
            case Settlement():
                charged_nano += outcome.charged_nano
                lost_nano += outcome.lost_nano
            case Held():
                (_taken if isinstance(operation, Take) else _extended).inc()
            case InsufficientCredits() if isinstance(operation, (Take, Extend)):
                (_blocked if outcome.is_blocked else _refused).inc()
    _CHARGED.inc(charged_nano / NANO)
    _LOST.inc(lost_nano / NANO)


def journaled(count: int, outcome: str = "kept") -> None:
    """Count settlements that the database could not take."""
    _JOURNALED.labels(outcome).inc(count)


def waiting_in_journal(count: int) -> None:
    """Show how many settlements of this process are in the journal alone."""
    _WAITING.set(count)
