"""Conditions for deliveries by what they report: their event's columns or, if they were refused, their claim's."""

from typing import Any

from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.db.models.lookups import IsNull

from logs.models import Claim, Delivery, WorkflowEvent
from logs.models.events import project_named, revision_starts_with
from logs.models.unindexed import unindexed
from logs.reading.patterns import Matches
from logs.reading.search import FEW


def in_event(name: str, value: str | list[str]) -> Q:
    """Return the condition that a delivery's event has one of these values."""
    return _exists(_with_value(WorkflowEvent.objects.filter(pk=OuterRef("event")), name, value))


def in_claim(name: str, value: str | list[str]) -> Q:
    """Return the condition that a delivery's claim has one of these values."""
    return _exists(_with_value(Claim.objects.filter(pk=OuterRef("pk")), name, value))


def _with_value(rows: QuerySet[Any], name: str, value: str | list[str]) -> QuerySet[Any]:
    if isinstance(value, list):
        # Without the column's index, through which PostgreSQL would read all failed events in the log.
        of_values: QuerySet[Any] = rows.alias(value_without_index=unindexed(name)).filter(value_without_index__in=value)
        return of_values
    # Not a join: SQLite would start at the events, and read all events of a branch for a few deliveries.
    found: QuerySet[Any] = rows.filter(Matches(*project_named(value) if name == "project" else (name, value)))
    return found


def _exists(rows: QuerySet[Any]) -> Q:
    """Return the condition that there is a row; `rows` refer to the row that is tested by its key."""
    # Not EXISTS, which PostgreSQL may replace by one search of the whole table for all rows that are tested.
    return Q(IsNull(Subquery(rows.values("pk")[:1]), False))  # noqa: FBT003 - an operand


def few_reporting(name: str, value: str | int) -> list[int] | None:
    """Return the primary keys of the deliveries that report a pipeline or a commit; None if there are more than `FEW`.

    Args:
        name: ``pipeline`` or ``revision``.
        value: the pipeline's number, or the start of the commit's hash.
    """
    condition = _of_indexed(name, value)
    events = WorkflowEvent.objects.filter(condition).values("pk")
    reported = Delivery.objects.filter(event__in=events).values_list("pk", flat=True)
    claimed = Claim.objects.filter(condition).values_list("pk", flat=True)
    keys = [*reported[: FEW + 1], *claimed[: FEW + 1]]
    return keys if len(keys) <= FEW else None


def reports(name: str, value: str | int) -> Q:
    """Return the condition of `few_reporting`, to test rows that are found in another way."""
    condition = _of_indexed(name, value)
    events, claims = WorkflowEvent.objects.filter(pk=OuterRef("event")), Claim.objects.filter(pk=OuterRef("pk"))
    return _exists(events.filter(condition)) | _exists(claims.filter(condition))


def _of_indexed(name: str, value: str | int) -> Q:
    return revision_starts_with(str(value)) if name == "revision" else Q(pipeline_number=value)
