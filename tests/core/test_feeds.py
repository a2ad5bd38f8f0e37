import sqlite3
from pathlib import Path

import pytest

from core.changes.feeds import FEED_ERRORS, FeedLost, SQLiteFeed


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "a file, with spaces? & more.sqlite3"
    write(path, "CREATE TABLE accounts_change (topic, version)")
    write(path, "INSERT INTO accounts_change VALUES ('colours', 1), ('shapes', 1)")
    return path


def write(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(statement)
    connection.close()


def test_only_the_topics_that_changed_are_told(database: Path) -> None:
    feed = SQLiteFeed(str(database), {"colours", "shapes"}, [])
    assert feed.check() == {"colours", "shapes"}
    assert feed.check() == set()
    write(database, "UPDATE accounts_change SET version = 2 WHERE topic = 'shapes'")
    assert feed.check() == {"shapes"}
    feed.close()


def test_a_replaced_database_file_is_noticed(database: Path) -> None:
    feed = SQLiteFeed(str(database), {"colours"}, [])
    feed.check()
    copy = database.with_suffix(".copy")
    copy.write_bytes(database.read_bytes())
    copy.replace(database)
    with pytest.raises(FeedLost, match="replaced"):
        feed.check()
    feed.close()


def test_a_missing_counter_or_trigger_is_noticed(database: Path) -> None:
    for topics, triggers in ({"colours", "sizes"}, []), ({"colours"}, ["colours_count"]):
        feed = SQLiteFeed(str(database), topics, triggers)
        with pytest.raises(FeedLost, match="migrate"):
            feed.check()
        feed.close()


def test_a_database_that_does_not_exist_is_not_made(tmp_path: Path) -> None:
    path = tmp_path / "none.sqlite3"
    with pytest.raises(FEED_ERRORS):
        SQLiteFeed(str(path), {"colours"}, [])
    assert not path.exists()
