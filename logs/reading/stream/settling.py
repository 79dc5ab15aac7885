"""Decide when a gap in the delivery keys is final.

PostgreSQL assigns keys before a transaction commits, so a lower key may appear after a higher one. A transaction holds
a lock on the table from before it gets a key until its rows are visible. After a higher key is seen, no lower key
can appear once every transaction that held the lock at that time has ended. SQLite allows one writer at a time.
"""

import time

from django.db import connection

PAUSE_SECONDS = 0.01
# https://www.postgresql.org/docs/current/explicit-locking.html and .../view-pg-locks.html (read 2026-11-23).
_WRITERS = """
    SELECT virtualtransaction FROM pg_locks
    WHERE relation = 'logs_delivery'::regclass AND mode = 'RowExclusiveLock' AND granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND pid IS DISTINCT FROM pg_backend_pid()
"""


def writers_finish(*, within_seconds: float) -> bool:
    """Wait until all transactions that are writing deliveries now have ended; return False on timeout."""
    deadline = time.monotonic() + within_seconds
    unfinished = _writers()
    while unfinished:
        if time.monotonic() >= deadline:
            return False
        time.sleep(PAUSE_SECONDS)
        unfinished &= _writers()
    return True


def _writers() -> set[str]:
    if connection.vendor == "sqlite":
        return set()
    with connection.cursor() as cursor:
        cursor.execute(_WRITERS)
        return {transaction for (transaction,) in cursor.fetchall()}
