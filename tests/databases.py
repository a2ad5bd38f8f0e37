"""A pytest plugin that gives the tests their own DATA_DIR and database, before Django reads its settings.

``pytest`` runs on SQLite; ``pytest --database postgresql`` starts a PostgreSQL of its own.
"""

import atexit
import os
import shutil
import tempfile

import pytest

_data = tempfile.mkdtemp(prefix="parley-tests-")
atexit.register(shutil.rmtree, _data, ignore_errors=True)
os.environ |= {"DATA_DIR": _data, "LOG_LEVEL": "WARNING", "PUBLIC_URL": "http://testserver"}
os.environ.pop("DATABASE_URL", None)
os.environ.pop("REDIS_URL", None)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare ``--database``."""
    parser.addoption(
        "--database", choices=["sqlite", "postgresql"], default="sqlite", help="where the tests' data lives"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Start PostgreSQL when asked for, before pytest-django loads the settings."""
    if early_config.known_args_namespace.database == "postgresql":
        from tests.postgresql import PostgreSQL

        server = PostgreSQL()
        atexit.register(server.stop)
        os.environ["DATABASE_URL"] = server.url


def pytest_configure(config: pytest.Config) -> None:
    """Have nobody drop a database that goes with its server: one of a killed process may still be connected."""
    if config.getoption("database") == "postgresql":
        config.option.reuse_db = True


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out on SQLite what is about PostgreSQL alone; the other run of ``make test`` has it."""
    if config.getoption("database") != "sqlite":
        return
    apart = [item for item in items if item.get_closest_marker("postgresql_only")]
    if apart:
        config.hook.pytest_deselected(items=apart)
        items[:] = [item for item in items if item not in apart]
