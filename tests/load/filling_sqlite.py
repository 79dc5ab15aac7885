"""Fill SQLite with the same log, by the same statements, as PostgreSQL (`tests.load.filling`)."""

import hashlib
import sqlite3
import time
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID

from tests.load.filling import delivery_statements, event_statements, run_all

SEARCH = "logs_workflowevent_search"


def fill_sqlite(path, events, *, deliveries, tell=lambda _: None):
    """Insert so many events, and deliveries of the newest; return the seconds it took.

    Args:
        path: of an empty database.
        events: how many.
        deliveries: of how many of them.
        tell: called with a few words on what goes on.
    """
    started = time.monotonic()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript("PRAGMA temp_store = MEMORY; PRAGMA cache_size = -500000; PRAGMA synchronous = OFF")
        _give_functions(connection)
        with _without_indexes(connection, "logs_workflowevent", tell):
            run_all(event_statements(events), connection.execute, tell)
        run_all(delivery_statements(events, deliveries), connection.execute, tell)
    settle_sqlite(path)
    return time.monotonic() - started


def settle_sqlite(path):
    """Move into the file, and to the disk, what would otherwise be moved while somebody measures."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def uuid_of(words):
    """Return the UUID that the filling makes of a few words."""
    return str(UUID(md5(words)))


def md5(words):
    """Return the digest that the filling makes of a few words, as PostgreSQL's function of that name does."""
    return hashlib.md5(words.encode()).hexdigest()


def _give_functions(connection):
    random, now = Random(1), datetime.now(UTC).replace(tzinfo=None)
    # fmt: off
    functions = {
        "random":   (0, random.random),  # In place of SQLite's own, which is a whole number.
        "skewed":   (1, lambda below: int(below * random.random() ** 2)),
        "ago":      (1, lambda seconds: str(now - timedelta(seconds=seconds))),
        "md5":      (1, md5),
        "uuid_of":  (1, uuid_of),
        "bytes_of": (1, str.encode),
    }
    # fmt: on
    for name, (arguments, function) in functions.items():
        connection.create_function(name, arguments, function)


@contextmanager
def _without_indexes(connection, table, tell):
    """Drop indexes and triggers, and make them again: one by one, that is many times faster."""
    rows = connection.execute(
        "SELECT type, name, sql FROM sqlite_master WHERE tbl_name = ? AND type IN ('index', 'trigger') AND sql NOTNULL",
        [table],
    ).fetchall()
    for kind, name, _ in rows:
        connection.execute(f"DROP {kind} {name}")
    yield
    for _, name, definition in rows:
        tell(f"index {name}")
        connection.execute(definition)
    tell("index of words")
    connection.execute(f"INSERT INTO {SEARCH} ({SEARCH}) VALUES ('rebuild')")
