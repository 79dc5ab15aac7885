"""The transactions in which deliveries and events are written."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import BinaryIO

from django.db import OperationalError, connection, transaction

# To wait for other threads (insertion.py), for a turn and for SQLite itself (settings.py) takes less than 10 seconds.
TURN_TIMEOUT_SECONDS = 3
PAUSE_SECONDS = 0.001
# When nothing is tried once more, since two waits of 3 seconds each are to end before those 10.
LATEST_SECOND_TRY_SECONDS = 3.5

_turn = Lock()


def is_outside_transactions() -> bool:
    """Whether what is written now can be committed now."""
    return not connection.in_atomic_block


def require_time_left(since: float) -> None:
    """Call it before a delivery is written by a second try; `since` is when the first began (time.monotonic()).

    Raises:
        OperationalError: the first has taken so long that CircleCI might not wait for the second.
    """
    seconds = time.monotonic() - since
    if seconds > LATEST_SECOND_TRY_SECONDS:
        raise OperationalError(f"others have kept it waiting for {seconds:.1f} seconds")


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

    One that must wait inside SQLite polls with pauses that grow up to a tenth of a second, in which others may pass it
    again and again. Threads that queue here are served one after the other, and processes look every millisecond.
    """
    if connection.vendor != "sqlite":
        yield
        return
    deadline = time.monotonic() + TURN_TIMEOUT_SECONDS
    if not _turn.acquire(timeout=TURN_TIMEOUT_SECONDS):
        raise OperationalError(f"another thread has been writing for {TURN_TIMEOUT_SECONDS} seconds")
    try:
        with Path(f"{connection.settings_dict['NAME']}-turn").open("ab") as file:
            _lock(file, deadline)
            yield  # Closing the file gives the lock up.
    finally:
        _turn.release()


def _lock(file: BinaryIO, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                message = f"another process has been writing for {TURN_TIMEOUT_SECONDS} seconds"
                raise OperationalError(message) from None
            time.sleep(PAUSE_SECONDS)
        else:
            return
