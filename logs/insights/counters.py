"""Count deliveries and events, each once, for counters that never fall.

The counters grow with the keys of new rows, so nothing that happens to a row later changes them: a replay, a newer
version, a prune.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from django.db.models import Count, F, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce

from logs.circleci.vocabulary import STATUS_TONES, EventType
from logs.models import Attempt, CounterProgress, Delivery, DeliveryCounter, EventCounter, Outcome, WorkflowEvent
from logs.reading.stream.settling import settled_keys
from logs.transactions import LOCK_PAUSE_SECONDS, durable_transaction

BATCH_SIZE = 2_000
# How long a check waits for open transactions. After this time, the next check continues.
WRITING_SECONDS = 0.1
OTHER = "other"  # Any client of an unsigned webhook could invent types and statuses without end.
TYPES = (EventType.WORKFLOW_COMPLETED, EventType.JOB_COMPLETED)
STATUSES = tuple(STATUS_TONES)


def count_new() -> Iterator[None]:
    """Count the deliveries and events stored since the last check; yield after each batch.

    The first check counts all stored rows. Several processes may count at once.
    """
    yield from _count(Delivery, _count_deliveries)
    yield from _count(WorkflowEvent, _count_events)


def known_status(status: str) -> str:
    """Return a status that CircleCI documents; "other" for any other text."""
    return status if status in STATUS_TONES else OTHER


def read_delivery_counters() -> dict[str, int] | None:
    """Return the number of deliveries by outcome; None until all old rows have been counted."""
    if not _is_complete(Delivery):
        return None
    return dict.fromkeys(Outcome.values, 0) | dict(DeliveryCounter.objects.values_list("outcome", "count"))


def read_event_counters() -> dict[tuple[str, str], int] | None:
    """Return the number of events by type and status; None until all old rows have been counted."""
    if not _is_complete(WorkflowEvent):
        return None
    known = dict.fromkeys(((str(event_type), status) for event_type in TYPES for status in STATUSES), 0)
    rows = EventCounter.objects.values_list("event_type", "status", "count")
    return known | {(event_type, status): count for event_type, status, count in rows}


def _is_complete(model: type[Any]) -> bool:
    return CounterProgress.objects.filter(table=model._meta.db_table, is_complete=True).exists()


def _count(model: type[Any], count: Callable[[QuerySet[Any]], None]) -> Iterator[None]:
    progress, _ = CounterProgress.objects.get_or_create(table=model._meta.db_table)
    keys = _next_keys(model, progress)
    while keys:
        with durable_transaction():
            # First: if another process has counted these rows meanwhile, nothing is updated.
            uncounted = CounterProgress.objects.filter(pk=progress.pk, last_key=progress.last_key)
            if not uncounted.update(last_key=keys[-1]):
                return
            count(model.objects.filter(pk__gt=progress.last_key, pk__lte=keys[-1]).order_by())
        progress.last_key = keys[-1]
        yield
        if len(keys) == BATCH_SIZE:
            time.sleep(LOCK_PAUSE_SECONDS)
        keys = _next_keys(model, progress)
    # An open transaction may have kept old rows from being counted.
    if not progress.is_complete and not model.objects.filter(pk__gt=progress.last_key).exists():
        CounterProgress.objects.filter(pk=progress.pk).update(is_complete=True)


def _next_keys(model: type[Any], progress: CounterProgress) -> list[int]:
    return settled_keys(model.objects, after=progress.last_key, most=BATCH_SIZE, within_seconds=WRITING_SECONDS)


def _count_deliveries(rows: QuerySet[Delivery]) -> None:
    # A replay changes the outcome, and its first attempt keeps the one at the arrival.
    arrival = Attempt.objects.filter(delivery=OuterRef("pk"), actor="").order_by("pk").values("outcome")[:1]
    outcomes = rows.values_list(Coalesce(Subquery(arrival), "outcome")).annotate(Count("pk"))
    for outcome, count in outcomes:
        _add(DeliveryCounter, count, outcome=outcome)


def _count_events(rows: QuerySet[WorkflowEvent]) -> None:
    counts: Counter[tuple[str, str]] = Counter()
    for event_type, status, count in rows.values_list("event_type", "status").annotate(Count("pk")):
        counts[event_type if event_type in TYPES else OTHER, known_status(status)] += count
    for (event_type, status), count in counts.items():
        _add(EventCounter, count, event_type=event_type, status=status)


def _add(model: type[Any], count: int, **key: str) -> None:
    if not model.objects.filter(**key).update(count=F("count") + count):
        model.objects.create(**key, count=count)
