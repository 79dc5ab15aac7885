"""Cursors for the delivery stream."""

import re
from datetime import datetime

from django.db import OperationalError, connection
from django.db.models import Max

from logs.exceptions import InvalidQuery
from logs.models import Delivery
from logs.reading.cursors import decode, encode
from logs.reading.pages import MAX_PRIMARY_KEY
from logs.reading.stream.settling import writers_finish
from logs.times import parse_time

NOW, START = "now", "start"
WRITING_SECONDS = 2  # How long the search for the newest delivery waits for open transactions; usually milliseconds.
MAX_OVERTAKING = 1_000  # How many deliveries may be stored while another delivery's body is still arriving.

_CURSOR = re.compile(r"stream ([0-9]{1,19})", re.ASCII)
# fmt: off
_LAST_GIVEN = {
    "sqlite":     "SELECT seq FROM sqlite_sequence WHERE name = 'logs_delivery'",
    "postgresql": "SELECT pg_sequence_last_value(pg_get_serial_sequence('logs_delivery', 'id')::regclass)",
}
# fmt: on


def start_after(text: str) -> int:
    """Return the key after which to read; 0 is before the first delivery.

    Args:
        text: ``now`` for new deliveries, ``start`` for all stored deliveries, a time for deliveries since then, or a
            cursor.

    Raises:
        InvalidQuery: the text is none of these, or is a cursor beyond the end of this log.
        OperationalError: a transaction has been open for too long, so the newest delivery cannot be determined.
    """
    if text == NOW:
        return newest_key()
    if text == START:
        return 0
    key = _decode(text)
    if key is None:
        return _key_before(_time(text))
    if key > _last_given_key():
        raise InvalidQuery(
            "The cursor is beyond the end of the log, which must have been restored from a backup or recreated: "
            "continue from start, from now, or from a time before that.",
            "invalid_cursor",
        )
    return key


def newest_key() -> int:
    """Return the newest delivery's key, once no lower key can still be committed.

    Raises:
        OperationalError: a transaction that may commit a lower key has been open for too long.
    """
    newest: int | None = Delivery.objects.aggregate(newest=Max("pk"))["newest"]
    if not writers_finish(within_seconds=WRITING_SECONDS):
        raise OperationalError(f"a transaction has been writing deliveries for {WRITING_SECONDS} seconds")
    return newest or 0


def encode_cursor(key: int) -> str:
    """Return the cursor for the deliveries after a key."""
    return encode(f"stream {key}")


def _decode(text: str) -> int | None:
    """Return the key in a cursor; None if the text is not a cursor."""
    try:
        inside = _CURSOR.fullmatch(decode(text))
    except ValueError:
        return None
    return min(int(inside[1]), MAX_PRIMARY_KEY) if inside else None


def _time(text: str) -> datetime:
    try:
        return parse_time(text)
    except ValueError as error:
        raise InvalidQuery(
            "after must be now, start, a time (2026-05-04T10:00Z, or an age such as 24h) or the cursor of a response.",
            "invalid_cursor",
        ) from error


def _key_before(time: datetime) -> int:
    """Return a key that is lower than the key of every delivery since a time."""
    arrived = Delivery.objects.filter(received_at__gte=time).order_by("received_at", "pk")
    # Not only the first delivery: one that started later, but whose body arrived faster, has a lower key.
    keys = list(arrived.values_list("pk", flat=True)[:MAX_OVERTAKING])
    return min(keys) - 1 if keys else newest_key()


def _last_given_key() -> int:
    """Return the highest key ever assigned, even if retention has removed its delivery."""
    with connection.cursor() as cursor:
        cursor.execute(_LAST_GIVEN[connection.vendor])
        row = cursor.fetchone()
    return (row and row[0]) or 0
