"""What is asked of an account itself, not for a run: grants, corrections, and a look that brings it up to date."""

from credits.errors import InsufficientCredits, InvalidAmount
from credits.ledger.book import Book
from credits.ledger.operations import Operation, Posting
from credits.models import Entry
from credits.money import MAX_AMOUNT_NANO, format_dollars


class Touch(Operation[int]):
    """Bring the account up to date, as every operation does first: due holds expire, the month's grant is given."""

    __slots__ = ("account_id",)

    account_id: int

    def __init__(self, account_id: int) -> None:
        self.account_id = account_id

    def apply(self, book: Book) -> int:
        """Return what is available. Raises UnknownAccount."""
        return book.account(self.account_id).available_nano


class Post(Operation[Posting]):
    """Grant credits, or correct a balance by an opposite entry."""

    __slots__ = ("account_id", "actor", "amount_nano", "kind", "reason")

    account_id: int

    def __init__(self, account_id: int, kind: Entry.Kind, amount_nano: int, reason: str, actor: str) -> None:
        self.account_id = account_id
        self.kind = kind
        self.amount_nano = amount_nano
        self.reason = reason
        self.actor = actor

    def apply(self, book: Book) -> Posting:
        """Append the entry, unless the balance would fall below its holds or rise beyond reason."""
        account = book.account(self.account_id)
        if account.available_nano + self.amount_nano < 0:
            raise InsufficientCredits(
                available_nano=account.available_nano, balance_nano=account.balance_nano, needed_nano=-self.amount_nano
            )
        if account.balance_nano + self.amount_nano > MAX_AMOUNT_NANO:
            raise InvalidAmount(f"the balance would exceed {format_dollars(MAX_AMOUNT_NANO)}")
        entry = book.post(account, str(self.kind), self.amount_nano, actor=self.actor, reason=self.reason)
        return Posting(self.account_id, entry.sequence, self.amount_nano, account.balance_nano)
