"""What is broken right now: workflows whose last finished run on a default branch failed.

The last one is that which was received last: no index holds runs by when they stopped.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from logs.models import Standing, WorkflowEvent

SHOWN = 10
# One that was renamed or removed never succeeds again: it must not stay red for ever.
RESTING_AFTER = timedelta(days=30)


@dataclass(frozen=True, kw_only=True)
class Broken:
    """A workflow that fails on a branch."""

    standing: Standing
    first: WorkflowEvent | None  # The first failed run after the last that succeeded; None: retention has removed it.
    last: WorkflowEvent

    @property
    def since(self) -> datetime | None:
        """When it broke."""
        return None if self.first is None else self.first.happened_at or self.first.received_at


@dataclass(frozen=True, kw_only=True)
class BrokenNow:
    """The workflows that fail on the default branches, the one that failed last first; without those that rest."""

    branches: list[str]
    resting_days: int
    shown: list[Broken]
    has_more: bool


def read_broken() -> BrokenNow:
    """Read what is broken at this moment, in two queries."""
    failing = Standing.objects.filter(
        broken_since__isnull=False,
        branch__in=settings.DEFAULT_BRANCHES,
        last__received_at__gte=timezone.now() - RESTING_AFTER,  # An event that is gone is no row at all.
    )
    # The first failed runs not by a join: it would drop the standings whose first is gone.
    standings = failing.select_related("last").prefetch_related("broken_since").order_by("-last_id")[: SHOWN + 1]
    broken = [Broken(standing=each, first=each.broken_since, last=each.last) for each in standings]
    return BrokenNow(
        branches=settings.DEFAULT_BRANCHES,
        resting_days=RESTING_AFTER.days,
        shown=broken[:SHOWN],
        has_more=len(broken) > SHOWN,
    )
