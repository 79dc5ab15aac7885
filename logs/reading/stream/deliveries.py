"""Follow deliveries in the order in which they were kept: none is left out, and none comes twice."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate, pairwise

from django.db.models import Exists, OuterRef
from django.db.models.functions import Length

from logs.models import Delivery, WorkflowEvent
from logs.models.deliveries import DeliveryQuerySet
from logs.models.events import project_named
from logs.reading.fields import OutcomesFilter, TextFilter, TextsFilter
from logs.reading.filters import DeliveryFilterSet, EventFilterSet, PagedFilterSet, unindexed
from logs.reading.stream.settling import writers_finish

MAX_LOOKED_AT = 1_000  # Rows in one look, however few of them the filters want.
MAX_BODIES_BYTES = 8_000_000  # In one look; as much memory several times over is taken to make an answer of it.
POLL_SECONDS = 0.5
# A look waits so long for those who are writing: a stuck one must not keep a thread for each client that looks.
WRITING_SECONDS = 0.1


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
    job        = TextFilter(method="of_event",  help_text=_help("job"))
    branch     = TextFilter(method="of_event",  help_text=_help("branch"))
    tag        = TextFilter(method="of_event",  help_text=_help("tag"))
    author     = TextFilter(method="of_event",  help_text=_help("author"))
    # fmt: on

    def of_outcomes(self, rows: DeliveryQuerySet, name: str, value: list[str]) -> DeliveryQuerySet:
        """Keep the deliveries of some outcomes, whose index is in another order than the stream."""
        return rows.alias(outcome_without_index=unindexed("outcome")).filter(outcome_without_index__in=value)

    def of_event(self, rows: DeliveryQuerySet, name: str, value: str | list[str]) -> DeliveryQuerySet:
        """Keep the deliveries that told of such an event."""
        column, value = project_named(str(value)) if name == "project" else (name, value)
        wanted = value if isinstance(value, list) else [value]
        # Without the column's index, in which PostgreSQL would read all failed events of the log.
        events = WorkflowEvent.objects.alias(wanted=unindexed(column)).filter(pk=OuterRef("event"), wanted__in=wanted)
        # Not a join: SQLite would begin it at the event, and go through all events of a branch for a few deliveries.
        return rows.filter(Exists(events))


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """The wanted ones of the deliveries that a look has seen."""

    deliveries: list[Delivery]  # In the order of their keys.
    end: int  # The key behind which to look on; 0 stands before the first delivery.
    is_last: bool  # There was nothing behind them.


def look(filterset: StreamFilterSet, *, after: int, limit: int) -> Batch:
    """Return the next deliveries that a valid filter set chooses, without waiting for any.

    They are at most so many, and as many as MAX_BODIES_BYTES hold, but at least one.
    """
    keys = _settled_keys(after)
    if not keys:
        return Batch(deliveries=[], end=after, is_last=True)
    wanted = filterset.qs.filter(pk__gt=after, pk__lte=keys[-1]).order_by("pk")
    sizes = list(wanted.annotate(size=Length("body")).values_list("pk", "size")[:limit])
    chosen = _fitting(sizes)
    end = keys[-1] if len(chosen) == len(sizes) < limit else chosen[-1]
    found = Delivery.objects.filter(pk__in=chosen).select_related("event").order_by("pk")
    return Batch(deliveries=list(found), end=end, is_last=end == keys[-1] and len(keys) < MAX_LOOKED_AT)


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


def _settled_keys(after: int) -> list[int]:
    """Return the next keys, up to where one is missing that may appear later: who had read on would never see it.

    Some between them may have appeared since; whoever looks for all rows up to the last one finds them.
    """
    following = Delivery.objects.filter(pk__gt=after).order_by("pk").values_list("pk", flat=True)
    keys = list(following[:MAX_LOOKED_AT])
    if not keys or keys[-1] == after + len(keys) or writers_finish(within_seconds=WRITING_SECONDS):
        return keys
    missing = next(before + 1 for before, key in pairwise([after, *keys]) if key != before + 1)
    return [key for key in keys if key < missing]


def _fitting(sizes: list[tuple[int, int]]) -> list[int]:
    """Return the first of some keys, at least one, so many that the bodies of these sizes are not too long together."""
    totals = accumulate(size for _, size in sizes)
    fitting = [key for (key, _), total in zip(sizes, totals, strict=True) if total <= MAX_BODIES_BYTES]
    return fitting or [key for key, _ in sizes[:1]]
