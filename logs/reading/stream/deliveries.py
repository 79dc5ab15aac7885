"""Follow deliveries in the order they were stored, each exactly once."""

import time
from dataclasses import dataclass
from itertools import accumulate

from django.db.models.functions import Length

from logs.models import Delivery, Outcome
from logs.models.deliveries import DeliveryQuerySet
from logs.models.unindexed import unindexed
from logs.reading.conditions import in_event
from logs.reading.fields import ChoicesFilter, PatternFilter, StatusesFilter
from logs.reading.filters import DeliveryFilterSet, EventFilterSet, PagedFilterSet
from logs.reading.stream.settling import settled_keys

MAX_SCANNED = 1_000  # Rows per poll, however few of them match the filters.
MAX_BODIES_BYTES = 8_000_000  # Per poll; building the response takes several times as much memory.
POLL_SECONDS = 0.5
# How long a poll waits for open transactions: a stuck one must not block a thread per polling client.
WRITING_SECONDS = 0.1


def _help(name: str, filterset: type[PagedFilterSet] = EventFilterSet) -> str:
    return str(filterset.base_filters[name].extra["help_text"])


class StreamFilterSet(DeliveryFilterSet):
    """Selects deliveries by their own fields or by those of their events."""

    # fmt: off
    outcome    = ChoicesFilter(method="of_outcomes", values=Outcome.values, noun="an outcome",
                               help_text=_help("outcome", DeliveryFilterSet))
    project    = PatternFilter(method="of_event",  help_text=_help("project"))
    workflow   = PatternFilter(method="of_event",  help_text=_help("workflow"))
    status     = StatusesFilter(method="of_event", help_text=_help("status"))
    event_type = PatternFilter(method="of_event",  help_text=_help("event_type"))
    job        = PatternFilter(method="of_event",  help_text=_help("job"))
    branch     = PatternFilter(method="of_event",  help_text=_help("branch"))
    tag        = PatternFilter(method="of_event",  help_text=_help("tag"))
    author     = PatternFilter(method="of_event",  help_text=_help("author"))
    # fmt: on
    # The stream reads all deliveries in their order; these filters have an index that leads to a few.
    pipeline = revision = None  # type: ignore[assignment]  # Removes the inherited filters.

    def of_outcomes(self, rows: DeliveryQuerySet, name: str, value: list[str]) -> DeliveryQuerySet:
        """Keep deliveries with these outcomes; avoid the index on outcomes, which is not in the stream's order."""
        return rows.alias(outcome_without_index=unindexed("outcome")).filter(outcome_without_index__in=value)

    def of_event(self, rows: DeliveryQuerySet, name: str, value: str | list[str]) -> DeliveryQuerySet:
        """Keep deliveries whose event has this value. Claims are not used: anyone can send them."""
        return rows.filter(in_event(name, value))


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """The matching deliveries from one poll."""

    deliveries: list[Delivery]  # In the order of their keys.
    end: int  # The key after which to continue; 0 is before the first delivery.
    is_last: bool  # No delivery followed.


def poll(filterset: StreamFilterSet, *, after: int, limit: int) -> Batch:
    """Return the next matching deliveries without waiting.

    The batch has at most `limit` deliveries and MAX_BODIES_BYTES of bodies; a single delivery may exceed that size.
    """
    keys = settled_keys(Delivery.objects, after=after, most=MAX_SCANNED, within_seconds=WRITING_SECONDS)
    if not keys:
        return Batch(deliveries=[], end=after, is_last=True)
    wanted = filterset.qs.filter(pk__gt=after, pk__lte=keys[-1]).order_by("pk")
    sizes = list(wanted.annotate(size=Length("body")).values_list("pk", "size")[:limit])
    chosen = _fitting(sizes)
    end = keys[-1] if len(chosen) == len(sizes) < limit else chosen[-1]
    found = Delivery.objects.filter(pk__in=chosen).select_related("event", "claim").order_by("pk")
    return Batch(deliveries=list(found), end=end, is_last=end == keys[-1] and len(keys) < MAX_SCANNED)


def wait(filterset: StreamFilterSet, *, after: int, limit: int, seconds: float) -> Batch:
    """Return the next deliveries, or an empty batch if none arrive in time. No transaction is open between polls.

    Args:
        filterset: a valid filter set.
        after: the key after which to start.
        limit: the maximum number of deliveries.
        seconds: how long to wait.
    """
    deadline = time.monotonic() + seconds
    batch = poll(filterset, after=after, limit=limit)
    while batch.is_last and not batch.deliveries and (left := deadline - time.monotonic()) > 0:
        time.sleep(min(POLL_SECONDS, left))
        batch = poll(filterset, after=batch.end, limit=limit)
    return batch


def _fitting(sizes: list[tuple[int, int]]) -> list[int]:
    """Return the longest prefix of keys whose bodies fit in MAX_BODIES_BYTES; always at least one."""
    totals = accumulate(size for _, size in sizes)
    fitting = [key for (key, _), total in zip(sizes, totals, strict=True) if total <= MAX_BODIES_BYTES]
    return fitting or [key for key, _ in sizes[:1]]
