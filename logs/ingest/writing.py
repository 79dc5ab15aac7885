"""The transactions in which deliveries and events are written."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from threading import Lock

from django.db import connection, transaction

# SQLite has one writer at a time, and one that must wait polls with growing pauses; threads that queue here first are
# served in turn. Writers of other processes still wait in SQLite.
_sqlite_turn = Lock()


@contextmanager
def durable_transaction() -> Iterator[None]:
    """Open a transaction that is committed to disk when the block has ended."""
    with _sqlite_turn if connection.vendor == "sqlite" else nullcontext(), transaction.atomic(durable=True):
        yield
