"""Alerts about budgets and low balances: who hears of them, and which are still to be sent."""

from credits.alerts.delivery import CLAIM_SECONDS, GIVE_UP_AFTER, claim, note_failed, note_sent, pending, team_of
from credits.alerts.recipients import MAX_ADDRESSES, Recipients, recipients, set_addresses, set_opt_out

__all__ = [
    "CLAIM_SECONDS",
    "GIVE_UP_AFTER",
    "MAX_ADDRESSES",
    "Recipients",
    "claim",
    "note_failed",
    "note_sent",
    "pending",
    "recipients",
    "set_addresses",
    "set_opt_out",
    "team_of",
]
