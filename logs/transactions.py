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
# How long batch jobs pause for writers that wait inside SQLite, which polls for its lock at least every 100 ms. After a
# shorter pause, a job could take the lock first each time, until a delivery has waited too long and is answered 503.
LOCK_PAUSE_SECONDS = 0.12
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
def durable_transaction(*, patience_seconds: float | None = None) -> Iterator[None]:
    """Open a transaction that is committed to disk when the block has ended.

    Args:
        patience_seconds: how long to wait for the turn to write to SQLite; None means TURN_TIMEOUT_SECONDS.

    Raises:
        OperationalError: the database is locked, unreachable, full or not writable; nothing is written.
    """
    with _sqlite_turn(patience_seconds), transaction.atomic(durable=True):
        yield


@contextmanager
def _sqlite_turn(patience_seconds: float | None) -> Iterator[None]:
    """Queue for SQLite, which has one writer at a time.

    One that must wait inside SQLite polls with pauses that grow up to a tenth of a second, in which others may pass it
    again and again. Threads that queue here are served one after the other, and processes look every millisecond.
    """
    if connection.vendor != "sqlite":
        yield
        return
    patience_seconds = patience_seconds or TURN_TIMEOUT_SECONDS
    deadline = time.monotonic() + patience_seconds
    if not _turn.acquire(timeout=patience_seconds):
        raise OperationalError(f"another thread has been writing for {patience_seconds} seconds")
    try:
        with _open_lock_file() as file:
            if not _lock(file, deadline):
                raise OperationalError(f"another process has been writing for {patience_seconds} seconds")
            yield  # Closing the file gives the lock up.
    finally:
        _turn.release()


def _open_lock_file() -> BinaryIO:
    path = Path(f"{connection.settings_dict['NAME']}-turn")
    try:
        return path.open("ab")
    except OSError as error:
        raise OperationalError(f"the lock file {path.name} cannot be opened: {error.strerror}") from error


def _lock(file: BinaryIO, deadline: float) -> bool:
    """Lock a file; return False if another process still holds the lock at the deadline."""
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(PAUSE_SECONDS)
        except OSError as error:  # For example, a network file system does not support locks.
            raise OperationalError(f"the lock file cannot be locked: {error.strerror}") from error
        else:
            return True
