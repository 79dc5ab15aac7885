"""Tell when a key that is missing among deliveries will stay missing.

PostgreSQL gives keys out before a transaction commits, so that a lower one may appear after a higher one. But it gives
them to transactions that have announced by a lock that they write, and show it until what they wrote is visible. Once
all who were writing when a higher key was seen have finished, nothing lower can come. SQLite has one writer at a time.
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
    """Wait until all who are writing deliveries now have finished; return False if some do not in that time."""
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
