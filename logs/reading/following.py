"""Follow events as they are written, by looking again and again at what an index holds last."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import chain

from django.db.models import F, Max, QuerySet

from logs.models import WorkflowEvent
from logs.models.events import SETTLED_AFTER
from logs.models.pages import Listing, Order

BEFORE_ALL = datetime(1970, 1, 2, tzinfo=UTC)
BY_CHANGE = Order(column="changed_at", key=F("changed_at"))
PAGE_SIZE = 1_000


class Following:
    """Events of a selection in the order in which they were written, each version of each event once.

    Args:
        events: the selection.
        since: where to begin; None leaves out what was written before now.
    """

    def __init__(self, events: QuerySet[WorkflowEvent], since: datetime | None) -> None:
        self._events = events
        self._since = since or _newest() - SETTLED_AFTER
        self._known = set[tuple[int, datetime | None]]()
        if since is None:
            for _ in self.look():
                pass

    def look(self) -> Iterator[WorkflowEvent]:
        """Yield what was written since the last look, the oldest first; take all of it before the next look."""
        # Back by what may still be uncommitted; the versions are told apart. Asked first, and of all events: the next
        # look need not pass over again what the selection leaves out.
        settled = _newest() - SETTLED_AFTER
        written = self._events.filter(changed_at__gte=self._since)
        pages = Listing(rows=written, order=BY_CHANGE, descending=False).pages(PAGE_SIZE)
        for event in chain.from_iterable(page.rows for page in pages):
            version = (event.pk, event.changed_at)
            if version not in self._known:
                self._known.add(version)
                yield event
        self._since = max(self._since, settled)
        self._known = {(pk, at) for pk, at in self._known if at and at >= self._since}


def _newest() -> datetime:
    newest: datetime | None = WorkflowEvent.objects.aggregate(newest=Max("changed_at"))["newest"]
    return newest or BEFORE_ALL
