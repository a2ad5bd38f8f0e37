"""Money and its limits in the admin panel: to be looked at; what moves goes through the ledger."""

from credits.admin import accounts, budgets, plans

__all__ = ["accounts", "budgets", "plans"]
