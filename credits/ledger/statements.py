"""The ledger's SQL, for SQLite and PostgreSQL. Each statement's text is constant, so it is prepared once."""

from dataclasses import dataclass, fields
from typing import Final

# An account comes into being when it is first asked for; a team that does not exist gets none.
_OPEN_ACCOUNTS = """
INSERT INTO credits_account
(team_id, balance_nano, held_nano, entry_count, entry_hash, granted_month, low_balance_nano)
SELECT id, 0, 0, 0, '', '', 0 FROM accounts_team WHERE id IN ({ids}) ON CONFLICT DO NOTHING
"""
# Ascending, as everywhere: two groups that lock in different orders would wait for each other for ever. The clock is
# read with each row once that is locked, so the last row's is later than all the locks; so are the rows that only
# somebody with the account's lock writes.
_LOCK_ACCOUNTS = """
WITH locked AS (
SELECT team_id, balance_nano, held_nano, entry_count, entry_hash, plan_id, granted_month, low_balance_nano
FROM credits_account
WHERE team_id IN ({ids} UNION SELECT account_id FROM credits_hold WHERE id IN ({holds})) ORDER BY team_id {lock}
) SELECT {clock}, locked.* FROM locked
"""
# Of the locked accounts: whether they have budgets, and when their first open hold is due.
_SURROUNDINGS = """
SELECT team_id, EXISTS (SELECT 1 FROM credits_budget WHERE account_id = team_id),
(SELECT min(expires_at) FROM credits_hold WHERE account_id = team_id AND state = 'open')
FROM credits_account
WHERE team_id IN ({ids} UNION SELECT account_id FROM credits_hold WHERE id IN ({holds}))
"""
_HOLD_COLUMNS = "id, account_id, amount_nano, state, run, project, key, expires_at"
_HOLDS = f"SELECT {_HOLD_COLUMNS} FROM credits_hold WHERE id IN ({{holds}})"
_DUE_HOLDS = f"""
SELECT {_HOLD_COLUMNS} FROM credits_hold WHERE state = 'open' AND account_id IN ({{ids}}) AND expires_at <= %s
"""
# After their accounts: the teams' budgets, the projects', the keys'.
_LOCK_BUDGETS = """
SELECT id, account_id, scope, reference, period, limit_nano, window_start, spent_nano, held_nano, alert_percents
FROM credits_budget WHERE account_id IN ({ids}) AND reference IN ({references})
ORDER BY CASE scope WHEN 'team' THEN 1 WHEN 'project' THEN 2 ELSE 3 END, id {lock}
"""
_PLANS = "SELECT id, name, monthly_grant_nano FROM credits_plan WHERE id IN ({ids})"

_INSERT_HOLD = """
INSERT INTO credits_hold
(id, account_id, amount_nano, state, run, project, key, created_at, expires_at, ended_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
_UPDATE_HOLD = """
UPDATE credits_hold SET amount_nano = %s, state = %s, expires_at = %s, ended_at = %s
WHERE id = %s AND state = %s AND amount_nano = %s
"""
_UPDATE_ACCOUNT = """
UPDATE credits_account SET balance_nano = %s, held_nano = %s, entry_count = %s, granted_month = %s, entry_hash = %s
WHERE team_id = %s AND balance_nano = %s AND held_nano = %s AND entry_count = %s AND granted_month = %s
"""
_UPDATE_BUDGET = """
UPDATE credits_budget SET window_start = %s, spent_nano = %s, held_nano = %s
WHERE id = %s AND spent_nano = %s AND held_nano = %s
"""
_INSERT_ENTRY = """
INSERT INTO credits_entry
(account_id, sequence, kind, amount_nano, lost_nano, balance_after_nano, run, price, project, key, actor, reason,
created_at, previous_hash, hash)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
_INSERT_MONTHLY_GRANT = """
INSERT INTO credits_monthlygrant (account_id, month, plan_id, sequence) VALUES (%s, %s, %s, %s)
"""
# Again in the same window, after the limit was raised or the balance rose in between: it was recorded already.
_INSERT_ALERT = """
INSERT INTO credits_alert
(account_id, budget_id, percent, window_start, limit_nano, reached_nano, created_at, attempts, sent_to, error)
VALUES (%s, %s, %s, %s, %s, %s, %s, 0, '', '') ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class Statements:
    """Every statement as one database takes it.

    ``clock`` also names the transaction, where its fate can be asked later.
    """

    clock: str
    open_accounts: str
    lock_accounts: str
    surroundings: str
    holds: str
    due_holds: str
    lock_budgets: str
    plans: str
    insert_hold: str = _INSERT_HOLD
    update_hold: str = _UPDATE_HOLD
    update_account: str = _UPDATE_ACCOUNT
    update_budget: str = _UPDATE_BUDGET
    insert_entry: str = _INSERT_ENTRY
    insert_monthly_grant: str = _INSERT_MONTHLY_GRANT
    insert_alert: str = _INSERT_ALERT


def with_question_marks(statement: str) -> str:
    """Return a statement with SQLite's marks for values."""
    return statement.replace("%s", "?")


def _statements(*, ids: str, holds: str, references: str, lock: str, clock: str) -> Statements:
    of_accounts = lock and f"{lock} OF credits_account"
    return Statements(
        clock=f"SELECT {clock}",
        open_accounts=_OPEN_ACCOUNTS.format(ids=ids),
        lock_accounts=_LOCK_ACCOUNTS.format(ids=ids, holds=holds, lock=of_accounts, clock=clock),
        surroundings=_SURROUNDINGS.format(ids=ids, holds=holds),
        holds=_HOLDS.format(holds=holds),
        due_holds=_DUE_HOLDS.format(ids=ids),
        lock_budgets=_LOCK_BUDGETS.format(ids=ids, references=references, lock=lock),
        plans=_PLANS.format(ids=ids),
    )


# SQLite needs no lock: BEGIN IMMEDIATE takes the only one there is.
_listed = "SELECT value FROM json_each(%s)"
_with_percents = _statements(
    ids=_listed,
    holds=_listed,
    references=_listed,
    lock="",
    clock="strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now'), ''",
)
SQLITE: Final = Statements(
    **{field.name: with_question_marks(getattr(_with_percents, field.name)) for field in fields(Statements)}
)
POSTGRESQL: Final = _statements(
    ids="SELECT unnest(%s::bigint[])",
    holds="SELECT unnest(%s::uuid[])",
    references="SELECT unnest(%s::text[])",
    lock="FOR UPDATE",
    clock="clock_timestamp(), pg_current_xact_id()::text",
)
