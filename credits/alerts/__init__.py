"""Alerts about budgets and low balances: who hears of them, and which are still to be sent."""

from credits.alerts.delivery import (
    CLAIM_SECONDS,
    GIVE_UP_AFTER,
    claim,
    note_failed,
    note_sent,
    note_told,
    pending,
    team_of,
)
from credits.alerts.recipients import (
    MAX_ADDRESSES,
    Recipients,
    address_of,
    confirm,
    recipients,
    set_addresses,
    set_opt_out,
    token_of,
)

__all__ = [
    "CLAIM_SECONDS",
    "GIVE_UP_AFTER",
    "MAX_ADDRESSES",
    "Recipients",
    "address_of",
    "claim",
    "confirm",
    "note_failed",
    "note_sent",
    "note_told",
    "pending",
    "recipients",
    "set_addresses",
    "set_opt_out",
    "team_of",
    "token_of",
]
