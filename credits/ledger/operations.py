"""What can be asked of the ledger: each operation changes a ``Book``, or raises and leaves the book as it was."""

from abc import ABC, abstractmethod
from datetime import datetime, timedelta
from typing import Generic, TypeVar
from uuid import UUID

import msgspec

from credits.ledger.book import CHARGE, EXPIRED, OPEN, RELEASED, SETTLED, Attribution, Book, HoldRow, Write

Result_co = TypeVar("Result_co", covariant=True)


class Held(msgspec.Struct, frozen=True):
    """An open hold: at most ``amount_nano`` may be delivered before it is extended or settled."""

    id: UUID
    account_id: int
    amount_nano: int
    expires_at: datetime


class Settlement(msgspec.Struct, frozen=True):
    """How a hold ended. All amounts are in nano-credits; charged + lost = cost.

    ``released_nano`` is the part of the hold that was given back, ``lost_nano`` the part of the cost that no credits
    were left for, ``sequence`` the number of the charge among the account's entries: None if nothing was charged or
    lost.
    """

    charged_nano: int
    released_nano: int
    lost_nano: int
    balance_nano: int
    available_nano: int
    sequence: int | None


class Posting(msgspec.Struct, frozen=True):
    """An appended grant or correction, and the balance after it, in nano-credits."""

    account_id: int
    sequence: int
    amount_nano: int
    balance_nano: int


class Operation(ABC, Generic[Result_co]):
    """One thing asked of the ledger.

    It names the account that must be locked for it, or the existing hold (by its id's hexadecimal digits) whose account
    must be. ``attribution`` is that of a hold which is not there yet: the group reads the budgets that count it.
    """

    __slots__ = ()

    account_id: int | None = None
    hold_hex: str = ""
    attribution: Attribution | None = None

    @abstractmethod
    def apply(self, book: Book) -> Result_co:
        """Change the book. Raises a LedgerError and changes nothing where that is refused."""


class OnHold(Operation[Result_co]):
    """An operation on an existing hold."""

    __slots__ = ("hold_hex", "hold_id")

    def __init__(self, hold_id: UUID) -> None:
        self.hold_id = hold_id
        self.hold_hex = hold_id.hex


class Take(Operation[Held]):
    """Open a hold for the amount, or for as much of it as there is, if that is no less than the minimum."""

    __slots__ = ("account_id", "amount_nano", "attribution", "minimum_nano", "new_id", "seconds")

    account_id: int
    attribution: Attribution

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
        self.account_id = account_id
        self.amount_nano = amount_nano
        self.minimum_nano = amount_nano if minimum_nano is None else minimum_nano
        self.attribution = attribution
        self.seconds = seconds

    def apply(self, book: Book) -> Held:
        """Set the amount aside if it is available."""
        account_id, attribution = self.account_id, self.attribution
        room_nano = book.room_nano(account_id, attribution)
        if self.minimum_nano > room_nano:
            raise book.refusal(account_id, attribution, self.minimum_nano)
        amount_nano = min(self.amount_nano, room_nano)
        expires_at = book.now + timedelta(seconds=self.seconds)
        book.add(HoldRow(self.new_id.hex, account_id, amount_nano, OPEN, attribution, expires_at))
        return Held(self.new_id, account_id, amount_nano, expires_at)


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
        hold = book.hold(self.hold_hex, OPEN)
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
        hold = book.hold(self.hold_hex, OPEN, SETTLED, RELEASED, EXPIRED)
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
        hold = book.hold(self.hold_hex, OPEN, EXPIRED)
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
                CHARGE,
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
