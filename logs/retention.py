"""Retention: the rules that limit how much is stored, and the deletion of rows beyond them."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import models, transaction
from django.utils import timezone

from logs.models import Delivery, StateChange, WorkflowEvent
from logs.transactions import LOCK_PAUSE_SECONDS

Rows = models.QuerySet[Delivery] | models.QuerySet[WorkflowEvent]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One retention setting and the rows that exceed it."""

    setting: str
    limit: int  # The setting's value; 0 turns the rule off.
    rows: Rows  # Oldest first. No row exceeds two rules, so the counts add up.

    @property
    def subject(self) -> str:
        """The plural name of the rows to delete."""
        return str(self.rows.model._meta.verbose_name_plural)

    def extent(self) -> tuple[int, datetime | None, datetime | None]:
        """Return the number of rows that exceed the rule, and their earliest and latest arrival times.

        The database counts index entries; the count takes longer the more rows there are, but neither waits nor blocks.
        """
        times = self.rows.values_list("received_at", flat=True)
        return self.rows.count(), times.first(), times.last()


def oldest_kept_event() -> datetime | None:
    """Return the time before which events are too old to store; None if retention keeps all events."""
    return _days_ago(settings.EVENT_RETENTION_DAYS)


def rules() -> list[Rule]:
    """Return the rules in the order in which they apply, each with the rows that currently exceed it."""
    oldest_by_age = _days_ago(settings.DELIVERY_RETENTION_DAYS)
    by_age = Delivery.objects.order_by("received_at")
    by_number = by_age.filter(received_at__gte=oldest_by_age) if oldest_by_age else by_age
    # fmt: off
    table: list[tuple[str, Rows, datetime | None]] = [
        ("DELIVERY_RETENTION_DAYS",  by_age,                                               oldest_by_age),
        ("DELIVERY_RETENTION_COUNT", by_number,                                            _oldest_by_number()),
        ("EVENT_RETENTION_DAYS",     WorkflowEvent.objects.order_by("received_at", "pk"), oldest_kept_event()),
    ]
    # fmt: on
    return [
        Rule(
            setting=name,
            limit=getattr(settings, name),
            rows=rows.filter(received_at__lt=oldest) if oldest else rows.none(),
        )
        for name, rows, oldest in table
    ]


def _days_ago(days: int) -> datetime | None:
    return timezone.now() - timedelta(days=days) if days else None


def _oldest_by_number() -> datetime | None:
    """Return the arrival time of the oldest delivery that DELIVERY_RETENTION_COUNT keeps; None if it keeps all.

    Deliveries that arrived in the same microsecond as that delivery are kept too. The database skips one index entry
    for each delivery that is kept; it does so once per run, without a lock.
    """
    count = settings.DELIVERY_RETENTION_COUNT
    times = Delivery.objects.order_by("-received_at").values_list("received_at", flat=True)
    return times[count - 1 : count].first() if count else None


def delete_in_batches(rows: Rows, *, size: int) -> Iterator[int]:
    """Delete rows, oldest first, and yield the number of rows deleted by each batch, which may be 0.

    Each batch is committed before the next begins, so the caller may stop at any time. Waiting writers get the lock
    between batches. Rows that another process has locked are skipped.

    Args:
        rows: the rows that exceed a rule.
        size: the maximum number of rows that a transaction deletes.
    """
    since = None
    while True:
        started = time.monotonic()
        # Start at the end of the last batch: PostgreSQL would otherwise scan all rows deleted but not yet vacuumed.
        remaining = rows.filter(received_at__gte=since) if since else rows
        batch = list(remaining.values_list("pk", "received_at")[:size])
        keys = [key for key, _ in batch]
        if rows.model is WorkflowEvent:
            for _ in _detach_deliveries(keys, size=size):
                yield 0
        yield _delete(rows.model, keys)
        if len(batch) < size:
            return
        since = batch[-1][1]
        time.sleep(max(LOCK_PAUSE_SECONDS, time.monotonic() - started))


def _delete(model: type[Delivery] | type[WorkflowEvent], keys: list[int]) -> int:
    """Delete the rows with these primary keys unless another transaction has locked them; return the number deleted."""
    with transaction.atomic(durable=True):
        # Waiting for another run, or for a delivery, that waits for this run would be a deadlock.
        unlocked = model._default_manager.filter(pk__in=keys).select_for_update(skip_locked=True)
        # Without only(), Django would load whole rows, bodies included, to find dependent rows.
        locked = list(unlocked.values_list("pk", flat=True))
        if model is WorkflowEvent:
            StateChange.objects.filter(event__in=locked).delete()
        deletable = model._default_manager.filter(pk__in=locked).only("pk")
        return deletable.delete()[1].get(model._meta.label, 0)


def _detach_deliveries(event_keys: list[int], *, size: int) -> Iterator[None]:
    """Detach deliveries from events about to be deleted, in batches: an event can have too many for one transaction.

    Yield between two batches.
    """
    while True:
        with transaction.atomic(durable=True):
            attached = Delivery.objects.filter(event__in=event_keys).select_for_update(skip_locked=True)
            keys = list(attached.values_list("pk", flat=True)[:size])
            Delivery.objects.filter(pk__in=keys).update(event=None)
        if len(keys) < size:
            return
        yield
        time.sleep(LOCK_PAUSE_SECONDS)
