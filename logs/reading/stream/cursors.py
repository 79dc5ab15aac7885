"""Places in the stream of deliveries, from which clients read on."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime

from django.db import OperationalError, connection
from django.db.models import Max

from logs.exceptions import InvalidQuery
from logs.models import Delivery
from logs.reading.pages import MAX_PRIMARY_KEY
from logs.reading.stream.settling import writers_finish
from logs.times import parse_moment

NOW, START = "now", "start"
WRITING_SECONDS = 2  # To find the present, so long is waited for those who are writing; mostly it takes milliseconds.
MAX_OVERTAKING = 1_000  # So many deliveries may be kept while another one's body is still coming in.

_CURSOR = re.compile(r"stream ([0-9]{1,19})", re.ASCII)
# fmt: off
_LAST_GIVEN = {
    "sqlite":     "SELECT seq FROM sqlite_sequence WHERE name = 'logs_delivery'",
    "postgresql": "SELECT pg_sequence_last_value(pg_get_serial_sequence('logs_delivery', 'id')::regclass)",
}
# fmt: on


def place(text: str) -> int:
    """Return the key behind which to read on; 0 stands before the first delivery.

    Args:
        text: ``now`` for what comes next, ``start`` for all that is kept, a moment for what arrived since then, or a
            cursor.

    Raises:
        InvalidCursor: it is none of these, or a cursor that this log has not come to; the message says what to do.
        OperationalError: what is being written takes too long to tell what comes next.
    """
    if text == NOW:
        return newest_key()
    if text == START:
        return 0
    key = _decode(text)
    if key is None:
        return _key_before(_moment(text))
    if key > _last_given_key():
        raise InvalidQuery(
            "The cursor is beyond the end of the log, which must have been restored from a backup or recreated: "
            "continue from start, from now, or from a time before that.",
            "invalid_cursor",
        )
    return key


def newest_key() -> int:
    """Return the key of the delivery that was kept last; nothing appears before it any more.

    Raises:
        OperationalError: somebody has been writing for too long; what is written may get a lower key.
    """
    newest: int | None = Delivery.objects.aggregate(newest=Max("pk"))["newest"]
    if not writers_finish(within_seconds=WRITING_SECONDS):
        raise OperationalError(f"deliveries have been being written for {WRITING_SECONDS} seconds")
    return newest or 0


def encode_cursor(key: int) -> str:
    """Return a key as clients get it; its inside is no promise to them."""
    return urlsafe_b64encode(f"stream {key}".encode()).decode().rstrip("=")


def _decode(text: str) -> int | None:
    """Return the key in a cursor; None where it is no cursor."""
    try:
        inside = _CURSOR.fullmatch(urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4)).decode())
    except ValueError:
        return None
    return min(int(inside[1]), MAX_PRIMARY_KEY) if inside else None


def _moment(text: str) -> datetime:
    try:
        return parse_moment(text)
    except ValueError as error:
        raise InvalidQuery(
            "after must be now, start, a time (2026-05-04T10:00Z, or an age such as 24h) or an answer's cursor.",
            "invalid_cursor",
        ) from error


def _key_before(moment: datetime) -> int:
    """Return the key behind which all that arrived since a moment was kept."""
    arrived = Delivery.objects.filter(received_at__gte=moment).order_by("received_at", "pk")
    # Not only the first: those that arrived a little later, but whose bodies came faster, have lower keys.
    keys = list(arrived.values_list("pk", flat=True)[:MAX_OVERTAKING])
    return min(keys) - 1 if keys else newest_key()


def _last_given_key() -> int:
    """Return the highest key that was ever given out; it stays when retention removes its delivery."""
    with connection.cursor() as cursor:
        cursor.execute(_LAST_GIVEN[connection.vendor])
        row = cursor.fetchone()
    return (row and row[0]) or 0
