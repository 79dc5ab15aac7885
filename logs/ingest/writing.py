"""The transactions in which deliveries and events are written."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from django.db import OperationalError, connection, transaction

# Together with SQLite's own timeout (settings.py) less than the 10 seconds after which CircleCI gives up.
TURN_TIMEOUT_SECONDS = 4

_turn = Lock()


def commits_at_once() -> bool:
    """Whether a statement is a durable transaction by itself: on PostgreSQL, outside of any other transaction."""
    return connection.vendor == "postgresql" and not connection.in_atomic_block


@contextmanager
def durable_transaction() -> Iterator[None]:
    """Open a transaction that is committed to disk when the block has ended.

    Raises:
        OperationalError: the database is locked, away or full; nothing is written.
    """
    with _sqlite_turn(), transaction.atomic(durable=True):
        yield


@contextmanager
def _sqlite_turn() -> Iterator[None]:
    """Queue for SQLite, which has one writer at a time.

    One that must wait inside SQLite polls with growing pauses; threads that queue here are served one after the other.
    Writers of other processes still wait in SQLite.
    """
    if connection.vendor != "sqlite":
        yield
        return
    if not _turn.acquire(timeout=TURN_TIMEOUT_SECONDS):
        raise OperationalError(f"another thread has been writing for {TURN_TIMEOUT_SECONDS} seconds")
    try:
        yield
    finally:
        _turn.release()
