"""Workflows that are broken now: their last finished run on a default branch failed.

Runs are ordered by arrival, because no index orders them by when they stopped.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from logs.models import Standing, WorkflowEvent

SHOWN = 10
# A renamed or removed workflow never succeeds again; it must not stay red forever.
RESTING_AFTER = timedelta(days=30)


@dataclass(frozen=True, kw_only=True)
class Broken:
    """A workflow that is failing on a branch."""

    standing: Standing
    first: WorkflowEvent | None  # The first failed run after the last successful one; None if retention deleted it.
    last: WorkflowEvent

    @property
    def since(self) -> datetime | None:
        """When the workflow broke."""
        return None if self.first is None else self.first.happened_at or self.first.received_at


@dataclass(frozen=True, kw_only=True)
class BrokenNow:
    """Workflows failing on default branches, latest failure first; workflows without recent runs are omitted."""

    branches: list[str]
    resting_days: int
    shown: list[Broken]
    has_more: bool


def read_broken() -> BrokenNow:
    """Return the workflows that are broken now, in two queries."""
    failing = Standing.objects.filter(
        broken_since__isnull=False,
        branch__in=settings.DEFAULT_BRANCHES,
        last__received_at__gte=timezone.now() - RESTING_AFTER,  # The join drops standings whose last run was deleted.
    )
    # No join for the first failed runs: a join would drop standings whose first failed run was deleted.
    standings = failing.select_related("last").prefetch_related("broken_since").order_by("-last_id")[: SHOWN + 1]
    broken = [Broken(standing=each, first=each.broken_since, last=each.last) for each in standings]
    return BrokenNow(
        branches=settings.DEFAULT_BRANCHES,
        resting_days=RESTING_AFTER.days,
        shown=broken[:SHOWN],
        has_more=len(broken) > SHOWN,
    )
