"""Follow events as they are written, by polling the end of an index."""

import time
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import chain

from django.db.models import F, Max, QuerySet

from logs.models import WorkflowEvent
from logs.models.events import SETTLED_AFTER
from logs.models.written import LogEnd, events_written_after, log_end
from logs.reading.pages import Listing, Order

BEFORE_ALL = datetime(1970, 1, 2, tzinfo=UTC)
BY_CHANGE = Order(column="changed_at", key=F("changed_at"))
PAGE_SIZE = 1_000


class Following:
    """Selected events in the order in which they are written; each version of an event appears once.

    Args:
        events: the selection.
        since: where to start; None skips everything written before now.
    """

    def __init__(self, events: QuerySet[WorkflowEvent], since: datetime | None) -> None:
        self._events = events
        self._since = since or _newest() - SETTLED_AFTER
        self._ends: deque[tuple[float, LogEnd]] = deque([(time.monotonic(), log_end())])
        self._known = set[tuple[int, datetime | None]]()
        if since is None:
            for _ in self.poll():
                pass

    def poll(self) -> Iterator[WorkflowEvent]:
        """Yield events written since the last poll, oldest first. Exhaust the iterator before the next poll."""
        # SETTLED_AFTER earlier, because a transaction may still be open; versions already seen are skipped. Read first,
        # and from all events: the next poll does not scan again what the selection excludes.
        settled, end = _newest() - SETTLED_AFTER, log_end()
        found = set[tuple[int, datetime | None]]()
        for event in self._written():
            version = (event.pk, event.changed_at)
            found.add(version)
            if version not in self._known:
                yield event
        self._since, self._known = max(self._since, settled), found
        self._settle(end)

    def _written(self) -> Iterator[WorkflowEvent]:
        in_order = self._events.filter(changed_at__gte=self._since)
        pages = Listing(rows=in_order, order=BY_CHANGE, descending=False).pages(PAGE_SIZE)
        yield from chain.from_iterable(page.rows for page in pages)
        # If a clock was set back or another host's clock lags, new events have earlier times than events already read.
        (_, end), earlier = self._ends[0], self._events.filter(changed_at__lt=self._since)
        yield from earlier.filter(pk__in=events_written_after(end)).order_by("changed_at", "pk")

    def _settle(self, end: LogEnd) -> None:
        """Drop all log ends before the newest log end that is older than every open transaction."""
        now = time.monotonic()
        self._ends.append((now, end))
        while now - self._ends[1][0] > SETTLED_AFTER.total_seconds():
            self._ends.popleft()


def _newest() -> datetime:
    newest: datetime | None = WorkflowEvent.objects.aggregate(newest=Max("changed_at"))["newest"]
    return newest or BEFORE_ALL
