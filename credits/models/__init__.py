"""What a team may spend: balances, holds and the appended entries that explain them; budgets, plans and alerts beside.

All amounts are integers in nano-credits: 1 credit = 1 US dollar = 10^9 nano-credits. Only ``credits.ledger`` writes.
"""

from core.text import validate_line
from credits.models.alerts import Alert, AlertAddress, AlertOptOut
from credits.models.budgets import Budget
from credits.models.ledger import Account, Entry, Hold, MonthlyGrant, Plan
from credits.money import NANO

__all__ = [
    "NANO",
    "Account",
    "Alert",
    "AlertAddress",
    "AlertOptOut",
    "Budget",
    "Entry",
    "Hold",
    "MonthlyGrant",
    "Plan",
    "validate_line",
]
