"""Find the events that were written after a point in the log, regardless of clocks."""

from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.db.models import QuerySet

from logs.models.attempts import Attempt
from logs.models.deliveries import BRINGING_VERSIONS, Delivery, Outcome
from logs.models.events import WorkflowEvent
from logs.models.unindexed import unindexed

_NEWEST = """
SELECT (SELECT MAX(id) FROM logs_workflowevent), (SELECT MAX(id) FROM logs_delivery), (SELECT MAX(id) FROM logs_attempt)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEnd:
    """The newest keys at a point in time. Keys only increase; clocks can be set back, and can differ between hosts."""

    event: int
    delivery: int
    attempt: int


def log_end() -> LogEnd:
    """Return the current end of the log; on PostgreSQL, open transactions may still add lower keys."""
    with connection.cursor() as cursor:
        cursor.execute(_NEWEST)
        event, delivery, attempt = (key or 0 for key in cursor.fetchone())
    return LogEnd(event=event, delivery=delivery, attempt=attempt)


def events_written_after(end: LogEnd) -> QuerySet[Any, Any]:
    """Return the keys of the events that were inserted or updated after a point in the log.

    An update arrives with a delivery or through a replay, which records an attempt.
    """
    # Avoids the index on `outcome`, in which SQLite would read every update in the log.
    deliveries = Delivery.objects.alias(outcome_without_index=unindexed("outcome"))
    updated = deliveries.filter(pk__gt=end.delivery, outcome_without_index=Outcome.UPDATED)
    # An attempt without an actor is the arrival, which a replay records together with its own attempt.
    replayed = Attempt.objects.filter(pk__gt=end.attempt, outcome__in=BRINGING_VERSIONS).exclude(actor="")
    inserted = WorkflowEvent.objects.filter(pk__gt=end.event)
    return inserted.values("pk").union(updated.values("event"), replayed.values("delivery__event"), all=True)
