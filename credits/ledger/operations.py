"""What can be asked of the ledger: each operation changes a ``Book``, or raises and leaves the book as it was."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar
from uuid import UUID

from credits.ledger.book import EXPIRED, OPEN, RELEASED, SETTLED, Attribution, Book, HoldRow, Write
from credits.models import Entry

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

    @property
    def attribution(self) -> Attribution | None:
        """Who will spend, for an operation whose hold is not there yet: the group reads the budgets of these."""
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
    """Open a hold for the amount, or for as much of it as there is, if that is no less than the minimum."""

    __slots__ = ("_account_id", "_attribution", "amount_nano", "minimum_nano", "new_id", "seconds")

    def __init__(
        self,
        new_id: UUID,
        account_id: int,
        amount_nano: int,
        attribution: Attribution,
        seconds: float,
        *,
        minimum_nano: int | None = None,
    ) -> None:
        self.new_id = new_id
        self._account_id = account_id
        self.amount_nano = amount_nano
        self.minimum_nano = amount_nano if minimum_nano is None else minimum_nano
        self._attribution = attribution
        self.seconds = seconds

    @property
    def account_id(self) -> int:
        """The account that pays."""
        return self._account_id

    @property
    def attribution(self) -> Attribution:
        """Who spends."""
        return self._attribution

    def apply(self, book: Book) -> Held:
        """Set the amount aside if it is available."""
        room_nano = book.room_nano(self._account_id, self._attribution)
        if self.minimum_nano > room_nano:
            raise book.refusal(self._account_id, self._attribution, self.minimum_nano)
        amount_nano = min(self.amount_nano, room_nano)
        expires_at = book.now + timedelta(seconds=self.seconds)
        book.add(
            HoldRow(self.new_id.hex, self._account_id, amount_nano, OPEN, self._attribution, expires_at, read=None)
        )
        return Held(self.new_id, self._account_id, amount_nano, expires_at)


class Extend(OnHold[Held]):
    """Add to an open hold, and let it live longer."""

    __slots__ = ("amount_nano", "minimum_nano", "seconds")

    def __init__(self, hold_id: UUID, amount_nano: int, seconds: float, *, minimum_nano: int | None = None) -> None:
        super().__init__(hold_id)
        self.amount_nano = amount_nano
        self.minimum_nano = amount_nano if minimum_nano is None else minimum_nano
        self.seconds = seconds

    def apply(self, book: Book) -> Held:
        """Set more aside if it is available; the amounts in a refusal are those of the whole hold."""
        hold = book.hold(self.hold_id, OPEN)
        room_nano = book.room_nano(hold.account_id, hold.attribution)
        if self.minimum_nano > room_nano:
            needed_nano = hold.amount_nano + self.minimum_nano
            raise book.refusal(hold.account_id, hold.attribution, needed_nano, own_nano=hold.amount_nano)
        book.grow(hold, min(self.amount_nano, room_nano), book.now + timedelta(seconds=self.seconds))
        return Held(self.hold_id, hold.account_id, hold.amount_nano, hold.expires_at)


class Expire(OnHold[bool]):
    """End an open hold as if its time were over: a settlement that still comes charges what is available then."""

    __slots__ = ()

    def apply(self, book: Book) -> bool:
        """Give the hold's credits back; return whether it was open."""
        hold = book.hold(self.hold_id, OPEN, SETTLED, RELEASED, EXPIRED)
        is_open = hold.state == OPEN
        if is_open:
            book.end(hold, EXPIRED)
        return is_open


class Settle(OnHold[Settlement]):
    """End a hold with a cost, or with none; an expired hold takes again what is available."""

    __slots__ = ("cost_nano", "price", "write")

    def __init__(self, hold_id: UUID, cost_nano: int, price: str, write: Write | None) -> None:
        super().__init__(hold_id)
        self.cost_nano = cost_nano
        self.price = price
        self.write = write

    def apply(self, book: Book) -> Settlement:
        """Charge what the hold and the credits beside it cover; the rest of the cost is a recorded loss.

        A budget that was lowered below its open holds still lets each of them charge what it set aside.
        """
        hold = book.hold(self.hold_id, OPEN, EXPIRED)
        account = book.account(hold.account_id)
        set_aside_nano = hold.amount_nano if hold.state == OPEN else 0
        book.end(hold, SETTLED if self.cost_nano else RELEASED)
        charged_nano = min(self.cost_nano, account.available_nano)
        for budget in book.budgets_of(hold.account_id, hold.attribution):
            charged_nano = min(charged_nano, max(budget.available_nano, set_aside_nano))
        lost_nano = self.cost_nano - charged_nano
        sequence = None
        if self.cost_nano:
            sequence = book.post(
                account,
                Entry.Kind.CHARGE,
                -charged_nano,
                lost_nano=lost_nano,
                attribution=hold.attribution,
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
