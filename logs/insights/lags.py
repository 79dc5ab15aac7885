"""The event lag of each project: the time from an event to its receipt."""

from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Sum

from logs.insights.buckets import quantile
from logs.models import HourlyLag
from logs.times import hour_of


@dataclass(frozen=True, kw_only=True)
class Lag:
    """The lag of a project's signed events, accurate to within 3%."""

    median_seconds: float | None
    high_seconds: float | None  # The 95th percentile.


def read_lags(webhooks: Collection[str], project_slugs: Collection[str], since: datetime) -> dict[tuple[str, str], Lag]:
    """Return projects' lags since the hour of a given time, keyed by webhook and project slug, in one query."""
    buckets: defaultdict[tuple[str, str], Counter[int]] = defaultdict(Counter)
    rows = HourlyLag.objects.filter(
        webhook__in=webhooks,
        project_slug__in=project_slugs,
        hour__gte=hour_of(since),
        verified=True,
        lag_bucket__isnull=False,
    )
    for webhook, slug, bucket, count in rows.values_list("webhook", "project_slug", "lag_bucket").annotate(
        Sum("count")
    ):
        buckets[webhook, slug][bucket] += count
    return {
        key: Lag(median_seconds=quantile(counts, 0.5), high_seconds=quantile(counts, 0.95))
        for key, counts in buckets.items()
    }
