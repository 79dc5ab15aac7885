"""Django's settings for SQLite and PostgreSQL. Both keep committed transactions through a power failure."""

from dataclasses import replace
from typing import Any

from webhooklog.env import Environment, read_environment
from webhooklog.url_parsers import POSTGRESQL, READ_WRITE, SQLITE, parse_database_url

SQLITE_OPTIONS = {
    # A transaction takes the write lock at its start. If it read first, it could not wait for the lock.
    "transaction_mode": "IMMEDIATE",
    "timeout": 3,  # Seconds that a writer waits for another writer; CircleCI gives up after 10.
    # temp_store: otherwise SQLite would copy an event's many pages into a file, to be able to undo a statement.
    # wal_autocheckpoint: committed pages are moved into the database every 4,000 pages (16 MB), not every 1,000.
    "init_command": (
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA temp_store=MEMORY; PRAGMA wal_autocheckpoint=4000;"
    ),
}
POSTGRESQL_OPTIONS: dict[str, Any] = {
    "connect_timeout": 2,  # Seconds until a host counts as unreachable.
    # A locked row or a network that drops packets must not block all threads forever.
    "options": "-c lock_timeout=3s -c idle_in_transaction_session_timeout=10s",
    "tcp_user_timeout": 5000,  # Milliseconds.
    # A server that disappears is detected after 3 seconds of silence and 3 unanswered probes.
    "keepalives_idle": 3,
    "keepalives_interval": 1,
    "keepalives_count": 3,
    # psycopg's default. Without it, statements would not be prepared even on request. Django does not request it.
    "prepare_threshold": 5,
}
REPLICA_OPTIONS = POSTGRESQL_OPTIONS | {
    # A write fails, even if the URL names a server that accepts writes. A statement that the client has given up
    # (deadline/base.py) must not go on.
    "options": f"{POSTGRESQL_OPTIONS['options']} -c default_transaction_read_only=on -c statement_timeout=3s",
    # The primary answers instead, so readers need not wait long for a replica that has disappeared.
    "tcp_user_timeout": 2000,
    "keepalives_idle": 1,
    "keepalives_count": 2,
}
POOL_OPTIONS = {
    "timeout": 2,  # Seconds that a request waits for a connection.
    # Seconds after which the next request connects again. By default, a pool tries again after ever longer pauses of up
    # to two minutes, and an outage of the database could last twice as long.
    "reconnect_timeout": 2,
}


def database_settings(environment: Environment) -> dict[str, dict[str, Any]]:
    """Return Django's DATABASES: "default", and "replica" if there is a DATABASE_REPLICA_URL."""
    database, replica = environment.database_url, environment.database_replica_url
    if database["ENGINE"] == SQLITE:
        return {"default": database | _of_sqlite(environment)}
    databases = {"default": database | _of_postgresql(database, environment)}
    if replica:
        of_replica = _of_postgresql(replica, environment, REPLICA_OPTIONS)
        databases["replica"] = replica | of_replica | {"ENGINE": "webhooklog.deadline"}
    return databases


def settings_for_url(url: str) -> dict[str, Any]:
    """Return an entry for a database other than the site's own.

    Raises:
        EnvError: the URL does not name a PostgreSQL database or an SQLite file. The message never contains a password.
    """
    environment = replace(read_environment(), database_url=parse_database_url(url), database_pool_size=0)
    return database_settings(environment)["default"]


def _of_sqlite(environment: Environment) -> dict[str, Any]:
    return {
        "OPTIONS": SQLITE_OPTIONS | environment.database_url.get("OPTIONS", {}),
        # A file, because concurrent threads would share the connection of an in-memory database.
        "TEST": {"NAME": environment.data_dir / "test.sqlite3"},
        # Closing the last connection writes back the whole write-ahead log, which would take most of the time for an
        # event.
        "CONN_MAX_AGE": None,
    }


def _of_postgresql(
    database: dict[str, Any], environment: Environment, defaults: dict[str, Any] = POSTGRESQL_OPTIONS
) -> dict[str, Any]:
    options = dict(database.get("OPTIONS", {}))
    pool_size = environment.database_pool_size
    if "options" in options:  # For example a search_path; it must not replace the timeouts.
        options["options"] = f"{defaults['options']} {options['options']}"
    # "none" in the URL is for PgBouncer before 1.22. Any other word would fail on the first delivery.
    if not isinstance(options.get("prepare_threshold", 0), int):
        options["prepare_threshold"] = None
    pool = {"pool": POOL_OPTIONS | {"min_size": min(4, pool_size), "max_size": pool_size}} if pool_size else {}
    is_one_of_several = options.get("target_session_attrs") == READ_WRITE
    return {
        "ENGINE": "webhooklog.failover" if is_one_of_several else POSTGRESQL,
        "OPTIONS": defaults | pool | options,
        # PgBouncer may send the next statement to another session, in which the cursor does not exist.
        "DISABLE_SERVER_SIDE_CURSORS": True,
        "CONN_MAX_AGE": 0 if pool_size else None,
        # The backend for several hosts tests a pool's connections itself. Two tests would cost an event a round trip.
        "CONN_HEALTH_CHECKS": not (pool and is_one_of_several),
    }
