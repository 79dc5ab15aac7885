"""Both databases keep what they have committed, and neither makes a client wait for ever."""

import fcntl
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.core.checks import run_checks
from django.db import OperationalError, connection

from logs import transactions
from logs.ingest import insertion

pytestmark = pytest.mark.django_db


def value_of(statement):
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchone()[0]


def test_sqlite_syncs_each_commit_to_disk_and_waits_for_its_turn():
    if connection.vendor != "sqlite":
        pytest.skip("about SQLite")
    assert value_of("PRAGMA journal_mode") == "wal"
    assert value_of("PRAGMA synchronous") == 2  # FULL
    assert value_of("PRAGMA busy_timeout") == 3_000
    assert value_of("PRAGMA temp_store") == 2  # MEMORY
    assert value_of("PRAGMA wal_autocheckpoint") == 4_000
    assert connection.settings_dict["OPTIONS"]["transaction_mode"] == "IMMEDIATE"
    assert connection.settings_dict["CONN_MAX_AGE"] is None


def test_all_that_a_delivery_can_wait_for_ends_before_circleci_gives_up():
    lock_seconds = 3  # On both databases, as the tests beside this one ask them.
    turn_and_lock = transactions.TURN_TIMEOUT_SECONDS + lock_seconds
    assert insertion.PATIENCE_SECONDS + turn_and_lock < 10
    assert transactions.LATEST_SECOND_TRY_SECONDS + turn_and_lock < 10


def test_postgresql_syncs_each_commit_to_disk_and_gives_up_a_lock_held_too_long():
    if connection.vendor != "postgresql":
        pytest.skip("about PostgreSQL")
    assert value_of("SHOW fsync") == "on"
    assert value_of("SHOW synchronous_commit") == "on"
    assert value_of("SHOW lock_timeout") == "3s"
    assert value_of("SHOW idle_in_transaction_session_timeout") == "10s"
    assert connection.settings_dict["CONN_HEALTH_CHECKS"] is True
    assert connection.settings_dict["CONN_MAX_AGE"] is None
    assert connection.settings_dict["DISABLE_SERVER_SIDE_CURSORS"] is True  # PgBouncer would lose them.
    assert connection.settings_dict["OPTIONS"]["connect_timeout"] == 2
    assert connection.settings_dict["OPTIONS"]["tcp_user_timeout"] == 5_000
    assert connection.settings_dict["OPTIONS"]["keepalives_idle"] == 3


def test_the_system_checks_find_a_timeout_that_is_missing():
    def ids():
        return [message.id for message in run_checks(tags=["database"], databases=["default"])]

    assert ids() == []
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = 0")
        assert ids() == ["logs.E007"]
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '3s'")


def test_the_system_checks_say_nothing_of_a_database_that_is_away(monkeypatch):
    def unreachable(*args, **kwargs):
        raise OperationalError("connection to db.internal refused")

    monkeypatch.setattr(connection, "cursor", unreachable)
    assert run_checks(tags=["database"], databases=["default"]) == []


def test_on_sqlite_a_thread_waits_for_its_turn_but_not_for_ever(deliver, workflow_document, monkeypatch, caplog):
    if connection.vendor != "sqlite":
        pytest.skip("about SQLite")
    monkeypatch.setattr(transactions, "TURN_TIMEOUT_SECONDS", 0.01)
    with transactions.durable_transaction(), ThreadPoolExecutor(1) as other:
        refused = other.submit(deliver, workflow_document()).result()
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "10")
    assert "another thread has been writing for 0.01 seconds" in caplog.text
    assert deliver(workflow_document()).status_code == 201


def test_on_sqlite_a_process_waits_for_its_turn_but_not_for_ever(deliver, workflow_document, monkeypatch, caplog):
    if connection.vendor != "sqlite":
        pytest.skip("about SQLite")
    monkeypatch.setattr(transactions, "TURN_TIMEOUT_SECONDS", 0.01)
    # Opened once more, as another process would: a lock belongs to what was opened.
    with Path(f"{connection.settings_dict['NAME']}-turn").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        refused = deliver(workflow_document())
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "10")
    assert "another process has been writing for 0.01 seconds" in caplog.text
    assert deliver(workflow_document()).status_code == 201
