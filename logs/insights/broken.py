"""What is broken right now: workflows whose last finished run on a default branch failed."""

from dataclasses import dataclass
from datetime import datetime

from django.conf import settings

from logs.models import Standing, WorkflowEvent

SHOWN = 10


@dataclass(frozen=True, kw_only=True)
class Broken:
    """A workflow that fails on a branch. Retention may have removed the events that tell of it: then they are None."""

    standing: Standing
    first: WorkflowEvent | None  # The first failed run after the last one that succeeded.
    last: WorkflowEvent | None

    @property
    def since(self) -> datetime | None:
        """When it broke."""
        return None if self.first is None else self.first.happened_at or self.first.received_at


@dataclass(frozen=True, kw_only=True)
class BrokenNow:
    """The workflows that fail on the default branches, the one that failed last first."""

    branches: list[str]
    shown: list[Broken]
    has_more: bool


def read_broken() -> BrokenNow:
    """Read what is broken at this moment, in two queries."""
    failing = Standing.objects.filter(broken_since__isnull=False, branch__in=settings.DEFAULT_BRANCHES)
    # By the key, and not by a join: it would drop the standings whose events are gone.
    standings = list(failing.order_by("-last_id")[: SHOWN + 1])
    keys = {key for each in standings[:SHOWN] for key in (each.last_id, each.broken_since_id)}
    events = WorkflowEvent.objects.in_bulk(keys)
    return BrokenNow(
        branches=settings.DEFAULT_BRANCHES,
        shown=[
            Broken(standing=each, first=events.get(each.broken_since_id), last=events.get(each.last_id))
            for each in standings[:SHOWN]
        ],
        has_more=len(standings) > SHOWN,
    )
