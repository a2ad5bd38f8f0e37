"""A trigger that refuses to change a price once it has started, whoever asks: receipts and the ledger name it.

One that has not started may be changed, because nobody was charged by it.
"""

from typing import Final

from core.triggers import Trigger, install
from inference.models import Price

_REFUSAL: Final = "a price that has started is never changed"
_TABLE: Final = Price._meta.db_table

_SQLITE: Final = f"""
CREATE TRIGGER inference_price_stays BEFORE UPDATE ON {_TABLE}
WHEN OLD.starts_at <= strftime('%Y-%m-%d %H:%M:%f', 'now')
BEGIN SELECT RAISE(ABORT, '{_REFUSAL}'); END
"""
_POSTGRESQL_FUNCTION: Final = f"""
CREATE OR REPLACE FUNCTION inference_price_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION '{_REFUSAL}' USING ERRCODE = 'restrict_violation'; END $$
"""
_POSTGRESQL: Final = f"""
CREATE TRIGGER inference_price_stays BEFORE UPDATE ON {_TABLE}
FOR EACH ROW WHEN (OLD.starts_at <= clock_timestamp()) EXECUTE FUNCTION inference_price_stays()
"""


def declare() -> None:
    """Have the trigger made after every migrate, from ``AppConfig.ready``."""
    statements = {"sqlite": [_SQLITE], "postgresql": [_POSTGRESQL_FUNCTION, _POSTGRESQL]}
    install(Trigger("inference_price_stays", _TABLE, statements))
