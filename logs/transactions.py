"""The transactions of all that writes to the log: durable, in turns on SQLite, and with a limited wait."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock, local
from typing import Any, BinaryIO

from django.db import OperationalError, connection, transaction
from django.db.models import QuerySet

# The waits for other events (insertion.py), for a turn and for SQLite (databases.py) total less than 10 seconds.
TURN_TIMEOUT_SECONDS = 3
PAUSE_SECONDS = 0.001
# How long batch jobs pause for writers that wait inside SQLite, which polls for its lock at least every 100 ms. After a
# shorter pause, a job could take the lock first each time, until a delivery has waited too long and gets a 503.
LOCK_PAUSE_SECONDS = 0.12
# After this time there is no second try: its two waits of 3 seconds each must also end within these 10 seconds.
LATEST_SECOND_TRY_SECONDS = 3.5

_turn = Lock()


class _ThisThread(local):
    has_turn = False


_this_thread = _ThisThread()


def is_outside_transactions() -> bool:
    """Return whether a write can be committed immediately."""
    return not connection.in_atomic_block


def require_time_left(since: float) -> None:
    """Raise OperationalError if CircleCI might not wait for a second attempt to write a delivery.

    `since` is the value of time.monotonic() when the first attempt began.
    """
    seconds = time.monotonic() - since
    if seconds > LATEST_SECOND_TRY_SECONDS:
        raise OperationalError(f"the first try took {seconds:.1f} seconds: there is no time for a second one")


def delete_in_steps(rows: QuerySet[Any], *, size: int) -> Iterator[int]:
    """Delete rows with the rows that depend on them; yield the number of deleted rows after each transaction.

    Waiting writers get the lock in between.

    Args:
        rows: the rows, which must not have been sliced.
        size: the maximum number of rows that a transaction deletes.
    """
    while True:
        keys = list(rows.values_list("pk", flat=True)[:size])
        if keys:
            with durable_transaction():
                # Without only(), Django would load whole rows to find dependent rows.
                rows.model._default_manager.filter(pk__in=keys).only("pk").delete()
        yield len(keys)
        if len(keys) < size:
            return
        time.sleep(LOCK_PAUSE_SECONDS)


@contextmanager
def durable_transaction(*, patience_seconds: float | None = None) -> Iterator[None]:
    """Open a transaction that is committed to disk when the block ends.

    Args:
        patience_seconds: how long to wait for a turn to write to SQLite; None is TURN_TIMEOUT_SECONDS.

    Raises:
        OperationalError: the database is locked, unreachable, full or not writable; nothing is written.
    """
    with sqlite_turn(patience_seconds), transaction.atomic(durable=True):
        yield


@contextmanager
def sqlite_turn(patience_seconds: float | None = None) -> Iterator[None]:
    """Wait for a turn to write to SQLite, which allows one writer at a time; a thread in its turn does not wait again.

    A writer that waits inside SQLite polls at intervals of up to a tenth of a second, and other writers may overtake
    it repeatedly. Threads that queue here take turns, and processes poll every millisecond.

    Raises:
        OperationalError: others have been writing for `patience_seconds` (None: TURN_TIMEOUT_SECONDS).
    """
    if connection.vendor != "sqlite" or _this_thread.has_turn:
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
            _this_thread.has_turn = True
            yield  # Closing the file releases the lock.
    finally:
        _this_thread.has_turn = False
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
