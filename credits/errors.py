"""What the ledger refuses: domain nouns, without a status code.

LedgerError
├── InsufficientCredits    not enough left; tells "too little" from "blocked by other holds"
├── HoldEnded              the hold was settled, released or has expired
├── UnknownHold            no such hold
├── UnknownAccount         no such team
├── InvalidAmount          not a whole, positive, sane number of nano-credits
├── OperationRefused       the database refused this operation's rows; nothing of it was kept
└── LedgerUnavailable      the database could not be reached in time; what was asked for may have happened
"""

from uuid import UUID


class LedgerError(Exception):
    """An operation on credits that did not happen."""


class InsufficientCredits(LedgerError):
    """More was asked for than the account can set aside now. All amounts are in nano-credits."""

    def __init__(self, *, available_nano: int, balance_nano: int, needed_nano: int) -> None:
        super().__init__(f"{needed_nano} nano-credits are needed and {available_nano} of {balance_nano} are available")
        self.available_nano = available_nano
        self.balance_nano = balance_nano
        self.needed_nano = needed_nano

    @property
    def is_blocked(self) -> bool:
        """Whether the balance would do, were it not for other open holds: waiting may help."""
        return self.balance_nano >= self.needed_nano


class HoldEnded(LedgerError):
    """The hold is no longer open; ``state`` says how it ended."""

    def __init__(self, hold_id: UUID, state: str) -> None:
        super().__init__(f"hold {hold_id} is {state}")
        self.hold_id = hold_id
        self.state = state


class UnknownHold(LedgerError):
    """There is no such hold."""


class UnknownAccount(LedgerError):
    """There is no such team."""


class InvalidAmount(LedgerError, ValueError):
    """An amount that cannot be meant."""


class OperationRefused(LedgerError):
    """The database refused the operation's rows, the caller's own among them; ``__cause__`` says why."""


class LedgerUnavailable(LedgerError):
    """The database could not be reached in time. Where its last answer was lost, the operation may have happened."""
