"""The ledger, the only writer of money: hold → extend → settle | release; grant and correct.

All amounts are integers in nano-credits. An account is a team's, named by the team's id; runs, projects, keys and
prices are opaque strings of at most 64 characters. What is refused is in ``credits.errors``.
"""

from credits.ledger.book import Write
from credits.ledger.grants import MAX_REASON_LENGTH, acorrect, agrant, atouch, correct, grant, touch
from credits.ledger.holds import (
    LOOK_AGAIN_SECONDS,
    expire,
    extend,
    freed,
    hold,
    prepare_extension,
    prepare_hold,
    prepare_settlement,
    release,
    settle,
    submit,
    take_up_to,
)
from credits.ledger.journal import Waiting, replay_left_behind, waiting_in_journals
from credits.ledger.operations import Extend, Held, Posting, Settle, Settlement, Take
from credits.ledger.writer import close, keep_journal

__all__ = [
    "LOOK_AGAIN_SECONDS",
    "MAX_REASON_LENGTH",
    "Extend",
    "Held",
    "Posting",
    "Settle",
    "Settlement",
    "Take",
    "Waiting",
    "Write",
    "acorrect",
    "agrant",
    "atouch",
    "close",
    "correct",
    "expire",
    "extend",
    "freed",
    "grant",
    "hold",
    "keep_journal",
    "prepare_extension",
    "prepare_hold",
    "prepare_settlement",
    "release",
    "replay_left_behind",
    "settle",
    "submit",
    "take_up_to",
    "touch",
    "waiting_in_journals",
]
