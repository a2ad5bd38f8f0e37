"""The ledger's SQL, for SQLite and PostgreSQL. Each statement's text is constant, so it is prepared once."""

from dataclasses import dataclass
from typing import Final

from django.db import connection

# An account comes into being when it is first asked for; a team that does not exist gets none.
_OPEN_ACCOUNTS = """
INSERT INTO credits_account
(team_id, balance_nano, held_nano, entry_count, entry_hash, granted_month, low_balance_nano)
SELECT id, 0, 0, 0, '', '', 0 FROM accounts_team WHERE id IN ({ids}) ON CONFLICT DO NOTHING
"""
# Ascending, as everywhere: two groups that lock in different orders would wait for each other for ever. The clock is
# read with each row once that is locked, so the last row's is later than all the locks.
_LOCK_ACCOUNTS = """
WITH locked AS (
SELECT team_id, balance_nano, held_nano, entry_count, entry_hash, plan_id, granted_month, low_balance_nano
FROM credits_account
WHERE team_id IN ({ids} UNION SELECT account_id FROM credits_hold WHERE id IN ({holds})) ORDER BY team_id {lock}
) SELECT {clock}, locked.* FROM locked
"""
_HOLD_COLUMNS = "id, account_id, amount_nano, state, run, project, key, expires_at"
# Those that are named, and those of the accounts that are due; one may be both.
_HOLDS = f"""
SELECT {_HOLD_COLUMNS} FROM credits_hold WHERE id IN ({{holds}})
UNION ALL
SELECT {_HOLD_COLUMNS} FROM credits_hold WHERE state = 'open' AND account_id IN ({{ids}}) AND expires_at <= %s
"""
# After their accounts: the teams' budgets, the projects', the keys'.
_LOCK_BUDGETS = """
SELECT id, account_id, scope, reference, period, limit_nano, window_start, spent_nano, held_nano, alert_percents
FROM credits_budget WHERE account_id IN ({ids}) AND reference IN ({references})
ORDER BY CASE scope WHEN 'team' THEN 1 WHEN 'project' THEN 2 ELSE 3 END, id {lock}
"""
_PLANS = "SELECT id, name, monthly_grant_nano FROM credits_plan WHERE id IN ({ids})"

INSERT_HOLD: Final = """
INSERT INTO credits_hold
(id, account_id, amount_nano, state, run, project, key, created_at, expires_at, ended_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
UPDATE_HOLD: Final = """
UPDATE credits_hold SET amount_nano = %s, state = %s, expires_at = %s, ended_at = %s
WHERE id = %s AND state = %s AND amount_nano = %s
"""
UPDATE_ACCOUNT: Final = """
UPDATE credits_account SET balance_nano = %s, held_nano = %s, entry_count = %s, granted_month = %s, entry_hash = %s
WHERE team_id = %s AND balance_nano = %s AND held_nano = %s AND entry_count = %s AND granted_month = %s
"""
UPDATE_BUDGET: Final = """
UPDATE credits_budget SET window_start = %s, spent_nano = %s, held_nano = %s
WHERE id = %s AND spent_nano = %s AND held_nano = %s
"""
INSERT_ENTRY: Final = """
INSERT INTO credits_entry
(account_id, sequence, kind, amount_nano, lost_nano, balance_after_nano, run, price, project, key, actor, reason,
created_at, previous_hash, hash)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
INSERT_MONTHLY_GRANT: Final = """
INSERT INTO credits_monthlygrant (account_id, month, plan_id, sequence) VALUES (%s, %s, %s, %s)
"""
# Again in the same window, after the limit was raised or the balance rose in between: it was said already.
INSERT_ALERT: Final = """
INSERT INTO credits_alert
(account_id, budget_id, percent, window_start, limit_nano, reached_nano, created_at, attempts, sent_to, error)
VALUES (%s, %s, %s, %s, %s, %s, %s, 0, '', '') ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class Statements:
    """What differs between the databases. ``clock`` also names the transaction, where its fate can be asked later."""

    open_accounts: str
    lock_accounts: str
    holds: str
    lock_budgets: str
    plans: str
    clock: str


def _statements(*, ids: str, holds: str, references: str, lock: str, clock: str) -> Statements:
    of_accounts = lock and f"{lock} OF credits_account"
    return Statements(
        open_accounts=_OPEN_ACCOUNTS.format(ids=ids),
        lock_accounts=_LOCK_ACCOUNTS.format(ids=ids, holds=holds, lock=of_accounts, clock=clock),
        holds=_HOLDS.format(ids=ids, holds=holds),
        lock_budgets=_LOCK_BUDGETS.format(ids=ids, references=references, lock=lock),
        plans=_PLANS.format(ids=ids),
        clock=f"SELECT {clock}",
    )


# SQLite needs no lock here: BEGIN IMMEDIATE has taken the only one there is.
_SQLITE = _statements(
    ids="SELECT value FROM json_each(%s)",
    holds="SELECT value FROM json_each(%s)",
    references="SELECT value FROM json_each(%s)",
    lock="",
    clock="strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now'), ''",
)
_POSTGRESQL = _statements(
    ids="SELECT unnest(%s::bigint[])",
    holds="SELECT unnest(%s::uuid[])",
    references="SELECT unnest(%s::text[])",
    lock="FOR UPDATE",
    clock="clock_timestamp(), pg_current_xact_id()::text",
)


def statements() -> Statements:
    """Return the statements for the database in use."""
    return _POSTGRESQL if connection.vendor == "postgresql" else _SQLITE
