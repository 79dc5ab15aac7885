"""Decide when a gap in the keys of a table is final.

PostgreSQL assigns keys before a transaction commits, so a lower key may appear after a higher one. A transaction holds
a lock on the table from before it gets a key until its rows are visible. After a higher key is seen, no lower key
can appear once every transaction that held the lock at that time has ended. SQLite allows one writer at a time.
"""

import time
from itertools import pairwise
from typing import Any

from django.db import connection
from django.db.models import Manager, Model

from logs.models import Delivery

PAUSE_SECONDS = 0.01
# https://www.postgresql.org/docs/current/explicit-locking.html and .../view-pg-locks.html (read 2026-11-23).
_WRITERS = """
    SELECT virtualtransaction FROM pg_locks
    WHERE relation = %s::regclass AND mode = 'RowExclusiveLock' AND granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND pid IS DISTINCT FROM pg_backend_pid()
"""


def settled_keys(rows: Manager[Any], *, after: int, most: int, within_seconds: float) -> list[int]:
    """Return the next keys of a table, at most `most`, up to the first gap that an open transaction may still fill.

    A reader that went past such a gap would never see the missing row. More keys below the last key may have been
    committed since then, so query all rows up to the last key.

    Args:
        rows: the manager of the table's model.
        after: the key after which to start.
        most: the maximum number of keys.
        within_seconds: how long to wait for open transactions if there is a gap.
    """
    keys = list(rows.filter(pk__gt=after).order_by("pk").values_list("pk", flat=True)[:most])
    if not keys or keys[-1] == after + len(keys) or writers_finish(rows.model, within_seconds=within_seconds):
        return keys
    missing = next(before + 1 for before, key in pairwise([after, *keys]) if key != before + 1)
    return [key for key in keys if key < missing]


def writers_finish(model: type[Model] = Delivery, *, within_seconds: float) -> bool:
    """Wait until all transactions that are writing the model's rows now have ended; return False on timeout."""
    deadline = time.monotonic() + within_seconds
    table = model._meta.db_table
    unfinished = _writers(table)
    while unfinished:
        if time.monotonic() >= deadline:
            return False
        time.sleep(PAUSE_SECONDS)
        unfinished &= _writers(table)
    return True


def _writers(table: str) -> set[str]:
    if connection.vendor == "sqlite":
        return set()
    with connection.cursor() as cursor:
        cursor.execute(_WRITERS, [table])
        return {transaction for (transaction,) in cursor.fetchall()}
