"""The metrics of the site in Prometheus' text format, read from the database: every process gives the same answer."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from math import inf

from django.conf import settings
from django.db.models import Count, Max
from django.utils import timezone
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from logs import conf
from logs.insights.buckets import quantile
from logs.insights.counters import read_delivery_counters, read_event_counters
from logs.insights.metrics import read_branches, read_runs
from logs.insights.periods import DEFAULT, period_of
from logs.insights.watching import read_watch
from logs.insights.webhooks import count_lags
from logs.models import Alarm, AlarmKind, Channel, Notification, RollupState, Source

WINDOW = DEFAULT  # "24h"
QUANTILES = (0.5, 0.95)

Values = Iterable[tuple[tuple[str, ...], float]]  # The values of the labels, and the figure.


def metrics_text() -> bytes:
    """Return all metrics.

    Raises:
        OperationalError: the database is unreachable.
    """
    registry = CollectorRegistry()
    registry.register(_Site())
    return generate_latest(registry)


class _Site(Collector):
    """Reads the figures in a fixed number of queries."""

    def collect(self) -> Iterator[Metric]:
        """Yield each family with its samples."""
        now = timezone.now()
        yield from _counters()
        yield from _webhooks(now)
        yield from _workflows(now)
        yield from _channels()
        yield _gauge("alarms_open", "Open alarms.", ["kind"], _open_alarms())
        watch, rollup = read_watch().seen_at, RollupState.objects.values_list("complete_until", flat=True).first()
        yield _gauge("watch_age_seconds", "Time since the watch's last sign of life.", [], [((), _age(watch, now))])
        yield _gauge("rollup_age_seconds", "Time since the last complete count.", [], [((), _age(rollup, now))])


def _counters() -> Iterator[Metric]:
    deliveries, events = read_delivery_counters(), read_event_counters()
    if deliveries is not None:
        rows = (((outcome,), count) for outcome, count in deliveries.items())
        yield _counter("deliveries", "Deliveries by their outcome at the arrival.", ["outcome"], rows)
    if events is not None:
        yield _counter("events", "Events by their type and first status.", ["type", "status"], events.items())


def _webhooks(now: datetime) -> Iterator[Metric]:
    webhooks = conf.webhooks()
    sources = Source.objects.filter(webhook__in=[webhook.name for webhook in webhooks], last_delivery_at__isnull=False)
    last = sources.order_by().values_list("webhook").annotate(Max("last_delivery_at"))
    times = (((webhook,), at.timestamp()) for webhook, at in last)
    yield _gauge("last_delivery_timestamp_seconds", "When the last delivery was accepted.", ["webhook"], times)
    lags = count_lags(period_of(WINDOW, now))
    by_webhook = ((webhook.name, lags[webhook.name, webhook.is_signed]) for webhook in webhooks)
    known = (((name,), {b: n for b, n in counts.items() if b is not None}) for name, counts in by_webhook)
    yield _summary("delivery_lag_seconds", "Time from an event to its receipt.", ["webhook"], known)


def _workflows(now: datetime) -> Iterator[Metric]:
    branches = read_branches(now, settings.METRICS_MAX_WORKFLOWS)
    labels = ["project", "project_slug", "workflow"]
    yield _gauge("branch_broken", "Whether a default branch is broken.", [*labels, "branch"], branches.items())
    runs = [
        ((each.project, each.project_slug, each.workflow), each)
        for each in read_runs(period_of(WINDOW, now), settings.METRICS_MAX_WORKFLOWS)
    ]
    counts = (((*key, status, WINDOW), count) for key, each in runs for status, count in each.statuses.items())
    yield _gauge("workflow_runs", "Runs by status.", [*labels, "status", "window"], counts)
    durations = (((*key, WINDOW), each.durations) for key, each in runs)
    yield _summary("workflow_duration_seconds", "Durations of finished runs.", [*labels, "window"], durations)


def _channels() -> Iterator[Metric]:
    counts = dict(Notification.objects.waiting().order_by().values_list("channel").annotate(Count("pk")))
    channels = list(Channel.objects.order_by("name"))
    waiting = (((each.name,), counts.get(each.pk, 0)) for each in channels)
    yield _gauge("notifications_waiting", "Messages that wait to be sent.", ["channel"], waiting)
    failing = (((each.name,), bool(each.failing_since or each.disabled_reason)) for each in channels)
    yield _gauge("channel_failing", "Whether a channel fails.", ["channel"], failing)


def _open_alarms() -> Values:
    opened = Alarm.objects.open().order_by().values_list("kind").annotate(Count("pk"))
    counts = dict.fromkeys(AlarmKind.values, 0) | dict(opened)
    return (((kind,), count) for kind, count in counts.items())


def _age(time: datetime | None, now: datetime) -> float:
    """Return the seconds since a time; infinity if it never was, so that an alert on a high age fires."""
    return inf if time is None else max(0.0, (now - time).total_seconds())


def _counter(name: str, description: str, labels: list[str], values: Values) -> Metric:
    family = CounterMetricFamily(f"webhooklog_{name}", description, labels=labels)
    for key, value in values:
        family.add_metric(key, value)
    return family


def _gauge(name: str, description: str, labels: list[str], values: Values) -> Metric:
    family = GaugeMetricFamily(f"webhooklog_{name}", description, labels=labels)
    for key, value in values:
        family.add_metric(key, value)
    return family


def _summary(
    name: str, description: str, labels: list[str], counts: Iterable[tuple[tuple[str, ...], Mapping[int, int]]]
) -> Metric:
    """Return a summary of the quantiles of counted buckets. A key without samples has no quantiles."""
    family = Metric(f"webhooklog_{name}", description, "summary")
    for key, buckets in counts:
        for share in QUANTILES:
            value = quantile(buckets, share)
            if value is not None:
                family.add_sample(family.name, dict(zip(labels, key, strict=True)) | {"quantile": str(share)}, value)
    return family
