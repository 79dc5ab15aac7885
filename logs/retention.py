"""How long the log keeps what it holds, and the removal of what is older."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import models, transaction
from django.utils import timezone

from logs.models import Delivery, WorkflowEvent
from logs.transactions import LOCK_PAUSE_SECONDS

Rows = models.QuerySet[Delivery] | models.QuerySet[WorkflowEvent]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One setting that bounds what is kept, and what is beyond it now."""

    setting: str
    limit: int  # The setting's value; 0: off, nothing goes.
    rows: Rows  # The oldest first. No row is beyond two rules, so that their numbers add up.

    @property
    def subject(self) -> str:
        """What goes, in the plural."""
        return str(self.rows.model._meta.verbose_name_plural)

    def extent(self) -> tuple[int, datetime | None, datetime | None]:
        """Return how many rows are beyond the rule, and when the oldest and the newest of them arrived.

        This counts them, in an index: it takes longer the more there are, but never waits and never blocks.
        """
        moments = self.rows.values_list("received_at", flat=True)
        return self.rows.count(), moments.first(), moments.last()


def oldest_kept_event() -> datetime | None:
    """Return the moment before which an event is too old to be kept; None where events are kept for ever."""
    return _days_ago(settings.EVENT_RETENTION_DAYS)


def rules() -> list[Rule]:
    """Return the rules in the order in which they apply, with what is beyond each at this moment."""
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
    """Return when the last delivery that DELIVERY_RETENTION_COUNT keeps arrived; None where it keeps all.

    Those that arrived at the same microsecond are kept too. The database passes over as many entries of an index as it
    keeps rows, once for each run and holding no lock.
    """
    count = settings.DELIVERY_RETENTION_COUNT
    moments = Delivery.objects.order_by("-received_at").values_list("received_at", flat=True)
    return moments[count - 1 : count].first() if count else None


def delete_in_batches(rows: Rows, *, size: int) -> Iterator[int]:
    """Delete rows, the oldest first, and yield after each batch how many it has deleted.

    Each batch is committed before the next begins, so that it may be stopped at any time; between two batches whoever
    waits to write gets the lock. What another process is writing or deleting at that moment is left to it.

    Args:
        rows: of a rule.
        size: the most rows that a transaction deletes.
    """
    since = None
    while True:
        started = time.monotonic()
        # From where the last batch ended: PostgreSQL would step over all that is deleted but not yet vacuumed.
        remaining = rows.filter(received_at__gte=since) if since else rows
        batch = list(remaining.values_list("pk", "received_at")[:size])
        keys = [key for key, _ in batch]
        if rows.model is WorkflowEvent:
            _detach_deliveries(keys, size=size)
        yield _delete(rows.model, keys)
        if len(batch) < size:
            return
        since = batch[-1][1]
        time.sleep(max(LOCK_PAUSE_SECONDS, time.monotonic() - started))


def _delete(model: type[Delivery] | type[WorkflowEvent], keys: list[int]) -> int:
    """Delete the rows of these primary keys that nobody else has locked, and return how many there were."""
    with transaction.atomic(durable=True):
        # Waiting for another run, or for a delivery, that waits for this one would be a deadlock.
        free = model._default_manager.filter(pk__in=keys).select_for_update(skip_locked=True)
        # Without only(), Django would load whole rows to see what depends on them, bodies included.
        going = model._default_manager.filter(pk__in=list(free.values_list("pk", flat=True))).only("pk")
        return going.delete()[1].get(model._meta.label, 0)


def _detach_deliveries(event_keys: list[int], *, size: int) -> None:
    """Let deliveries forget events that are about to go: one event may have more of them than a transaction should."""
    while True:
        with transaction.atomic(durable=True):
            attached = Delivery.objects.filter(event__in=event_keys).select_for_update(skip_locked=True)
            keys = list(attached.values_list("pk", flat=True)[:size])
            Delivery.objects.filter(pk__in=keys).update(event=None)
        if len(keys) < size:
            return
        time.sleep(LOCK_PAUSE_SECONDS)
