"""The sums of one hour, counted by the database from all events that arrived in that hour."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import (
    Case,
    Count,
    DurationField,
    Exists,
    Expression,
    ExpressionWrapper,
    F,
    FloatField,
    Func,
    Max,
    OuterRef,
    Sum,
    Value,
    When,
)
from django.db.models.functions import Coalesce
from django.db.models.sql.compiler import SQLCompiler

from logs.circleci.vocabulary import EventType
from logs.conf import is_default_branch
from logs.insights.buckets import bucket_of
from logs.insights.days import drop_days
from logs.models import HourlyLag, HourlyStatus, HourlyWorkflow, Workflow, WorkflowEvent
from logs.models.events import WorkflowEventQuerySet
from logs.retention import oldest_kept_event
from logs.times import HOUR

WorkflowKey = tuple[str, str]  # A workflow's project slug and name.
SUMS = (HourlyStatus, HourlyWorkflow, HourlyLag)


class Seconds(Func):
    """A duration in seconds: SQLite computes in microseconds, PostgreSQL in intervals."""

    output_field = FloatField()

    def as_sqlite(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **context: Any) -> Any:
        """Return the SQL for SQLite."""
        return self.as_sql(compiler, connection, template="(%(expressions)s / 1000000.0)", **context)

    def as_postgresql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **context: Any) -> Any:
        """Return the SQL for PostgreSQL."""
        template = "EXTRACT(EPOCH FROM %(expressions)s)::double precision"
        return self.as_sql(compiler, connection, template=template, **context)


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedHour:
    """An hour whose sums have been counted."""

    began_at: datetime
    events: int


def arrived_in(hour: datetime) -> WorkflowEventQuerySet:
    """Return the events that arrived in an hour."""
    return WorkflowEvent.objects.filter(received_at__gte=hour, received_at__lt=hour + HOUR)


def recount(hour: datetime) -> CountedHour:
    """Replace an hour's sums with the sums of its current events; must be called in a transaction.

    The sums stay as they are if retention may have deleted some of the hour's events.
    """
    counted = HourlyStatus.objects.filter(hour=hour)
    if hour >= _first_whole_hour() or not counted.exists():
        for model in SUMS:
            model.objects.filter(hour=hour).delete()
        drop_days(since=hour, until=hour + HOUR)
        _count(hour)
    return CountedHour(began_at=hour, events=counted.aggregate(sum=Sum("count", default=0))["sum"])


def newest_of_older_release(*, since: datetime, until: datetime) -> datetime | None:
    """Return the newest hour of a period that a release without today's columns counted; None if there is none.

    Hours whose events retention may have deleted are left out: they cannot be counted again.
    """
    first = max(_first_whole_hour(), since)
    old = (HourlyLag.objects.filter(project_slug=None), HourlyWorkflow.objects.filter(on_default_branch=None))
    hours = (rows.filter(hour__gte=first, hour__lt=until).aggregate(last=Max("hour"))["last"] for rows in old)
    return max(filter(None, hours), default=None)


def drop_sums(*, since: datetime | None = None, until: datetime) -> None:
    """Drop the sums of hours without events, except hours whose events retention may have deleted."""
    first = max(_first_whole_hour(), since) if since else _first_whole_hour()
    for model in SUMS:
        model.objects.filter(hour__gte=first, hour__lt=until).delete()
    drop_days(since=first, until=until)


def drop_idle_workflows() -> None:
    """Drop the workflows that have no counted runs."""
    Workflow.objects.filter(~Exists(HourlyWorkflow.objects.filter(workflow=OuterRef("pk")))).delete()


def _first_whole_hour() -> datetime:
    """Return the earliest arrival time that retention keeps; hours from that time on still have all their events."""
    return oldest_kept_event() or datetime.min.replace(tzinfo=UTC)


def _count(hour: datetime) -> None:
    events = arrived_in(hour).order_by()
    runs = events.filter(event_type=EventType.WORKFLOW_COMPLETED)
    statuses = events.values("event_type", "status").annotate(count=Count("pk"))
    lags = events.values_list("name", "verified", _signed_project(), bucket_of(_lag())).annotate(count=Count("pk"))
    HourlyStatus.objects.bulk_create(HourlyStatus(hour=hour, **sums) for sums in statuses)
    known = _known_workflows(hour, _last_projects(runs))
    HourlyWorkflow.objects.bulk_create(
        HourlyWorkflow(hour=hour, workflow=known[slug, name], count=count, seconds=seconds, **same)
        for (slug, name), same, count, seconds in _sum_runs(runs)
        if (slug, name) in known  # Otherwise it has just arrived, and the next count will include it.
    )
    HourlyLag.objects.bulk_create(
        HourlyLag(hour=hour, webhook=webhook, verified=verified, project_slug=project, lag_bucket=bucket, count=count)
        for webhook, verified, project, bucket, count in lags
    )


def _sum_runs(runs: WorkflowEventQuerySet) -> Iterator[tuple[WorkflowKey, dict[str, Any], int, float]]:
    """Yield a workflow, what some of its runs have in common, their number and their total seconds."""
    rows = runs.values_list("project_slug", "workflow", "branch", "status", bucket_of(F("duration_seconds"))).annotate(
        count=Count("pk"), seconds=Coalesce(Sum("duration_seconds"), 0.0)
    )
    sums: defaultdict[tuple[Any, ...], list[float]] = defaultdict(lambda: [0, 0.0])
    for slug, name, branch, status, bucket, count, seconds in rows:
        total = sums[slug, name, is_default_branch(slug, branch), status, bucket]
        total[0] += count
        total[1] += seconds
    for (slug, name, is_default, status, bucket), (count, seconds) in sums.items():
        same = {"on_default_branch": is_default, "status": status, "duration_bucket": bucket}
        yield (slug, name), same, int(count), seconds


def _last_projects(runs: WorkflowEventQuerySet) -> dict[WorkflowKey, str]:
    """Return each workflow's project name, taken from its newest run."""
    names = runs.values("project_slug", "workflow", "project").annotate(last=Max("received_at"))
    rows = names.order_by("last", "project").values_list("project_slug", "workflow", "project")
    return {(slug, workflow): project for slug, workflow, project in rows}


def _known_workflows(hour: datetime, projects: dict[WorkflowKey, str]) -> dict[WorkflowKey, Workflow]:
    """Return the workflows that ran in an hour; create missing ones and update the others' project names."""
    slugs, names = {slug for slug, _ in projects}, {name for _, name in projects}
    found = Workflow.objects.filter(project_slug__in=slugs, name__in=names)
    known = {key: each for each in found if (key := (each.project_slug, each.name)) in projects}
    new = [
        Workflow(project_slug=slug, name=name, project=projects[slug, name]) for slug, name in projects.keys() - known
    ]
    _rename({each.pk: projects[key] for key, each in known.items() if each.project != projects[key]}, hour)
    return known | {(each.project_slug, each.name): each for each in Workflow.objects.bulk_create(new)}


def _rename(projects: dict[int, str], hour: datetime) -> None:
    """Set workflows' project names, given by primary key; skip workflows that ran in a later hour."""
    later = HourlyWorkflow.objects.filter(workflow=OuterRef("pk"), hour__gt=hour)
    renamed = list(Workflow.objects.filter(~Exists(later), pk__in=projects))
    for workflow in renamed:
        workflow.project = projects[workflow.pk]
    Workflow.objects.bulk_update(renamed, ["project"])


def _signed_project() -> Expression:
    return Case(When(verified=True, then=F("project_slug")), default=Value(""))


def _lag() -> Expression:
    """Return the seconds from an event to its first arrival; 0 if its newest version is dated after that arrival."""
    difference = ExpressionWrapper(F("received_at") - F("happened_at"), output_field=DurationField())
    return Case(
        When(happened_at__gt=F("received_at"), then=0.0), default=Seconds(difference), output_field=FloatField()
    )
