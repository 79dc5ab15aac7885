"""Follow deliveries in the order in which they were kept: none is left out, and none comes twice."""

import re
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection
from django.db.models import Exists, Max, OuterRef
from django.utils import timezone

from logs.models import Delivery, WorkflowEvent
from logs.models.deliveries import DeliveryQuerySet
from logs.models.pages import MAX_PRIMARY_KEY
from logs.reading.filter_kinds import OutcomesFilter, TextFilter, TextsFilter
from logs.reading.filters import DeliveryFilterSet, EventFilterSet, PagedFilterSet, unindexed
from logs.reading.readings import InvalidCursor

MAX_LOOKED_AT = 1_000  # Rows in one look, however few of them the filters want.
POLL_SECONDS = 0.5
# Longer than any transaction that writes a delivery: PostgreSQL ends one that waits (settings.py) after 10 seconds.
SETTLED_AFTER = timedelta(seconds=20)

_CURSOR = re.compile(r"stream ([0-9]{1,19})", re.ASCII)


def _help(name: str, filterset: type[PagedFilterSet] = EventFilterSet) -> str:
    return str(filterset.base_filters[name].extra["help_text"])


class StreamFilterSet(DeliveryFilterSet):
    """Chooses deliveries, by the events they told of too."""

    # fmt: off
    outcome    = OutcomesFilter(method="of_outcomes", help_text=_help("outcome", DeliveryFilterSet))
    project    = TextFilter(method="of_event",  help_text=_help("project"))
    workflow   = TextFilter(method="of_event",  help_text=_help("workflow"))
    status     = TextsFilter(method="of_event", help_text=_help("status"))
    event_type = TextFilter(method="of_event",  help_text=_help("event_type"))
    branch     = TextFilter(method="of_event",  help_text=_help("branch"))
    # fmt: on

    def of_outcomes(self, rows: DeliveryQuerySet, name: str, value: list[str]) -> DeliveryQuerySet:
        """Keep the deliveries of some outcomes, whose index is in another order than the stream."""
        return rows.alias(outcome_without_index=unindexed("outcome")).filter(outcome_without_index__in=value)

    def of_event(self, rows: DeliveryQuerySet, name: str, value: str | list[str]) -> DeliveryQuerySet:
        """Keep the deliveries that told of such an event."""
        events = WorkflowEvent.objects.filter(pk=OuterRef("event"))
        if name == "project":
            events = events.of_project(str(value))
        else:
            events = events.filter(**{f"{name}__in": value} if isinstance(value, list) else {name: value})
        # Not a join: SQLite would begin it at the event, and go through all events of a branch for a few deliveries.
        return rows.filter(Exists(events))


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """The wanted ones of the deliveries that a look has seen."""

    deliveries: list[Delivery]  # In the order of their keys.
    end: int  # The key behind which to look on; 0 stands before the first delivery.
    is_last: bool  # There was nothing behind them.


def newest_key() -> int:
    """Return the key of the delivery that was kept last; 0 where there is none."""
    return Delivery.objects.aggregate(newest=Max("pk"))["newest"] or 0


def look(filterset: StreamFilterSet, *, after: int, limit: int) -> Batch:
    """Return the next deliveries that a valid filter set chooses, at most so many, without waiting for any."""
    following = Delivery.objects.filter(pk__gt=after).order_by("pk")
    keys = _settled(after, list(following.values_list("pk", "received_at")[:MAX_LOOKED_AT]))
    if not keys:
        return Batch(deliveries=[], end=after, is_last=True)
    wanted = filterset.qs.filter(pk__gt=after, pk__lte=keys[-1]).select_related("event").order_by("pk")
    found = list(wanted[:limit])
    end = found[-1].pk if len(found) == limit else keys[-1]
    return Batch(deliveries=found, end=end, is_last=end == keys[-1] and len(keys) < MAX_LOOKED_AT)


def wait(
    filterset: StreamFilterSet, *, after: int, limit: int, seconds: float, is_over: Callable[[], bool] = lambda: False
) -> Batch:
    """Return the next deliveries, or none if nothing comes in time; between two looks it holds no transaction.

    Args:
        filterset: a valid one.
        after: the key behind which to look.
        limit: the most deliveries to return.
        seconds: how long to wait.
        is_over: is asked between two looks; True ends the waiting.
    """
    deadline = time.monotonic() + seconds
    batch = look(filterset, after=after, limit=limit)
    while batch.is_last and not batch.deliveries and (left := deadline - time.monotonic()) > 0 and not is_over():
        time.sleep(min(POLL_SECONDS, left))
        batch = look(filterset, after=batch.end, limit=limit)
    return batch


def _settled(after: int, rows: list[tuple[int, datetime]]) -> list[int]:
    """Return the keys up to where one is missing that somebody may be writing still.

    PostgreSQL gives keys out before a transaction commits, so that a lower one may appear after a higher one. Whoever
    had read on behind the higher one would never see it. SQLite has one writer at a time.
    """
    keys = [key for key, _ in rows]
    if connection.vendor == "sqlite":
        return keys
    long_ago = timezone.now() - SETTLED_AFTER
    for position, (before, (key, received_at)) in enumerate(zip([after, *keys], rows, strict=False)):
        if key != before + 1 and received_at > long_ago:
            return keys[:position]
    return keys


def encode_cursor(key: int) -> str:
    """Return a key as clients get it; its inside is no promise to them."""
    return urlsafe_b64encode(f"stream {key}".encode()).decode().rstrip("=")


def decode_cursor(text: str) -> int:
    """Read a cursor that `encode_cursor` has made.

    Raises:
        InvalidCursor: it is none of these.
    """
    try:
        inside = _CURSOR.fullmatch(urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4)).decode())
    except ValueError as error:
        raise InvalidCursor from error
    if inside is None or int(inside[1]) > MAX_PRIMARY_KEY:
        raise InvalidCursor
    return int(inside[1])
