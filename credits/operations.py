"""What can be asked of the ledger: each operation changes a ``Book``, or raises and leaves the book as it was."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar
from uuid import UUID

from credits.book import EXPIRED, OPEN, RELEASED, SETTLED, Book, HoldRow, Spender, Write
from credits.errors import InsufficientCredits, InvalidAmount
from credits.models import Entry
from credits.money import MAX_AMOUNT_NANO

Result_co = TypeVar("Result_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Held:
    """An open hold: at most ``amount_nano`` may be delivered before it is extended or settled."""

    id: UUID
    account_id: int
    amount_nano: int
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Settlement:
    """How a hold ended. All amounts are in nano-credits; charged + lost = cost.

    ``released_nano`` is the part of the hold that was given back, ``lost_nano`` the part of the cost that no credits
    were left for, ``sequence`` the charge's place in the account's entries: None if nothing was charged or lost.
    """

    charged_nano: int
    released_nano: int
    lost_nano: int
    balance_nano: int
    available_nano: int
    sequence: int | None


@dataclass(frozen=True, slots=True)
class Posting:
    """An appended grant or correction, and the balance after it, in nano-credits."""

    account_id: int
    sequence: int
    amount_nano: int
    balance_nano: int


class Operation(ABC, Generic[Result_co]):
    """One thing asked of the ledger. It names the account or the hold that must be locked for it."""

    __slots__ = ()

    @property
    def account_id(self) -> int | None:
        """The account it works on, unless it names a hold."""
        return None

    @property
    def hold_id(self) -> UUID | None:
        """The existing hold that it works on."""
        return None

    @abstractmethod
    def apply(self, book: Book) -> Result_co:
        """Change the book. Raises a LedgerError and changes nothing where that is refused."""


class OnHold(Operation[Result_co]):
    """An operation on an existing hold."""

    __slots__ = ("_hold_id",)

    def __init__(self, hold_id: UUID) -> None:
        self._hold_id = hold_id

    @property
    def hold_id(self) -> UUID:
        """The hold."""
        return self._hold_id


class Take(Operation[Held]):
    """Open a hold."""

    __slots__ = ("_account_id", "amount_nano", "new_id", "seconds", "spender")

    def __init__(self, new_id: UUID, account_id: int, amount_nano: int, spender: Spender, seconds: float) -> None:
        self.new_id = new_id
        self._account_id = account_id
        self.amount_nano = amount_nano
        self.spender = spender
        self.seconds = seconds

    @property
    def account_id(self) -> int:
        """The account that pays."""
        return self._account_id

    def apply(self, book: Book) -> Held:
        """Set the amount aside if it is available."""
        account = book.account(self._account_id)
        if self.amount_nano > account.available_nano:
            raise InsufficientCredits(
                available_nano=account.available_nano, balance_nano=account.balance_nano, needed_nano=self.amount_nano
            )
        expires_at = book.now + timedelta(seconds=self.seconds)
        book.add(
            HoldRow(self.new_id.hex, self._account_id, self.amount_nano, OPEN, self.spender, expires_at, read=None)
        )
        return Held(self.new_id, self._account_id, self.amount_nano, expires_at)


class Extend(OnHold[Held]):
    """Add to an open hold, and let it live longer."""

    __slots__ = ("amount_nano", "seconds")

    def __init__(self, hold_id: UUID, amount_nano: int, seconds: float) -> None:
        super().__init__(hold_id)
        self.amount_nano = amount_nano
        self.seconds = seconds

    def apply(self, book: Book) -> Held:
        """Set more aside if it is available; the amounts in a refusal are those of the whole hold."""
        hold = book.hold(self.hold_id, OPEN)
        account = book.account(hold.account_id)
        if self.amount_nano > account.available_nano:
            raise InsufficientCredits(
                available_nano=account.available_nano + hold.amount_nano,
                balance_nano=account.balance_nano,
                needed_nano=hold.amount_nano + self.amount_nano,
            )
        book.grow(hold, self.amount_nano, book.now + timedelta(seconds=self.seconds))
        return Held(self.hold_id, hold.account_id, hold.amount_nano, hold.expires_at)


class Settle(OnHold[Settlement]):
    """End a hold with a cost, or with none; an expired hold takes again what is available."""

    __slots__ = ("cost_nano", "price", "write")

    def __init__(self, hold_id: UUID, cost_nano: int, price: str, write: Write | None) -> None:
        super().__init__(hold_id)
        self.cost_nano = cost_nano
        self.price = price
        self.write = write

    def apply(self, book: Book) -> Settlement:
        """Charge what the hold and the credits beside it cover; the rest of the cost is a recorded loss."""
        hold = book.hold(self.hold_id, OPEN, EXPIRED)
        account = book.account(hold.account_id)
        set_aside_nano = hold.amount_nano if hold.state == OPEN else 0
        book.end(hold, SETTLED if self.cost_nano else RELEASED)
        charged_nano = min(self.cost_nano, account.available_nano)
        lost_nano = self.cost_nano - charged_nano
        sequence = None
        if self.cost_nano:
            sequence = book.post(
                account,
                Entry.Kind.CHARGE,
                -charged_nano,
                lost_nano=lost_nano,
                spender=hold.spender,
                price=self.price,
            ).sequence
        book.write(self.write)
        return Settlement(
            charged_nano=charged_nano,
            released_nano=max(set_aside_nano - charged_nano, 0),
            lost_nano=lost_nano,
            balance_nano=account.balance_nano,
            available_nano=account.available_nano,
            sequence=sequence,
        )


class Post(Operation[Posting]):
    """Grant credits, or correct a balance by an opposite entry."""

    __slots__ = ("_account_id", "actor", "amount_nano", "kind", "reason")

    def __init__(self, account_id: int, kind: Entry.Kind, amount_nano: int, reason: str, actor: str) -> None:
        self._account_id = account_id
        self.kind = kind
        self.amount_nano = amount_nano
        self.reason = reason
        self.actor = actor

    @property
    def account_id(self) -> int:
        """The account whose balance moves."""
        return self._account_id

    def apply(self, book: Book) -> Posting:
        """Append the entry, unless the balance would fall below its holds or rise beyond reason."""
        account = book.account(self._account_id)
        if account.available_nano + self.amount_nano < 0:
            raise InsufficientCredits(
                available_nano=account.available_nano, balance_nano=account.balance_nano, needed_nano=-self.amount_nano
            )
        if account.balance_nano + self.amount_nano > MAX_AMOUNT_NANO:
            raise InvalidAmount(f"the balance would exceed {MAX_AMOUNT_NANO} nano-credits")
        entry = book.post(account, self.kind, self.amount_nano, actor=self.actor, reason=self.reason)
        return Posting(self._account_id, entry.sequence, self.amount_nano, account.balance_nano)
