"""Recoveries: from the first failed run of a workflow on a branch to the next successful one.

Each failed run leads to the next run of its branch that succeeded or failed, and so on to the one that succeeded.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import F, OuterRef, QuerySet, Subquery, Value

from logs.circleci.vocabulary import BAD_STATUSES, FINISHED_STATUSES, GOOD_STATUSES, EventType
from logs.conf import is_default_branch
from logs.insights.figures import Recoveries
from logs.insights.selecting import Selection
from logs.insights.windows import SORTED_NEWEST_FIRST, Window
from logs.models import WorkflowEvent
from logs.models.events import WorkflowEventQuerySet

MOST_FAILURES = 10_000  # The newest failed runs of a window; older ones are left out.
LATE = timedelta(hours=1)  # How long after the event of its recovery that of a failed run may arrive.
READ_TOGETHER = 1_000
COLUMNS = ("pk", "event_id", "project_slug", "project", "workflow", "branch", "stopped_at", "next")
END_COLUMNS = ("pk", "stopped_at", "event_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Breakage:
    """The failed runs of a workflow on a branch up to the run that recovered."""

    project_slug: str
    project: str
    workflow: str
    branch: str
    failures: int
    failed_at: datetime  # When the first failed run ended.
    failed: str  # Its event id.
    failed_key: int  # Its primary key.
    recovered_at: datetime | None  # When the next successful run ended; None if no run has succeeded since.
    recovered: str | None  # Its event id.
    recovered_key: int | None  # Its primary key.

    @property
    def is_on_default_branch(self) -> bool:
        """Whether the branch is one of its project's default branches."""
        return is_default_branch(self.project_slug, self.branch)

    @property
    def took(self) -> timedelta | None:
        """How long the recovery took; None if no run has succeeded since."""
        return self.recovered_at - self.failed_at if self.recovered_at else None

    @property
    def seconds(self) -> float | None:
        """`took` in seconds."""
        return self.took.total_seconds() if self.took is not None else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Breakages:
    """The breakages in a window."""

    rows: list[Breakage]
    has_more: bool  # Whether failed runs before the newest MOST_FAILURES were left out.


def read_breakages(selection: Selection) -> Breakages:
    """Return the breakages in the selected window, the newest first.

    A breakage that began before the window counts from its first failed run in the window, and a recovery after the
    window does not count. Runs without a branch, such as those of tags, are left out.
    """
    failed = _ended(BAD_STATUSES, selection.window).filter(**selection.columns).order_by(*SORTED_NEWEST_FIRST)
    found = failed.annotate(next=Subquery(_next_run(selection.window))).values_list(*COLUMNS, named=True)
    rows = list(found[: MOST_FAILURES + 1])
    failures = {row.pk: row for row in rows[:MOST_FAILURES]}
    ends = _read_ends([row.next for row in failures.values() if row.next and row.next not in failures])
    recoveries: dict[int, int | None] = {}
    # Of a run, the next one ended later: it has been dealt with.
    for row in sorted(failures.values(), key=lambda row: row.stopped_at, reverse=True):
        recoveries[row.pk] = row.next if row.next in ends else recoveries.get(row.next)
    groups: defaultdict[tuple[str, str, str, int | None], list[Any]] = defaultdict(list)
    for row in failures.values():
        groups[row.project_slug, row.workflow, row.branch, recoveries[row.pk]].append(row)
    breakages = [_breakage(runs, ends.get(key[-1])) for key, runs in groups.items()]
    return Breakages(
        rows=[each for each in breakages if each.is_on_default_branch or not selection.on_default_branch],
        has_more=len(rows) > MOST_FAILURES,
    )


def sum_recoveries(breakages: Iterable[Breakage]) -> Recoveries:
    """Return the sums of those breakages that have recovered."""
    recovered = [each for each in breakages if each.took is not None]
    return Recoveries(
        count=len(recovered),
        failures=sum(each.failures for each in recovered),
        total=sum((each.took for each in recovered if each.took is not None), timedelta()),
    )


def _ended(statuses: tuple[str, ...], window: Window) -> WorkflowEventQuerySet:
    """Return the runs with a branch and an end, which is not later than their arrival allows."""
    return WorkflowEvent.objects.filter(
        window.of_events,
        event_type=EventType.WORKFLOW_COMPLETED,
        status__in=statuses,
        branch__gt="",
        stopped_at__lte=F("received_at") + LATE,
    )


def _next_run(window: Window) -> QuerySet[WorkflowEvent, Any]:
    """Return the key of the next run on the same branch that succeeded or failed.

    Not of the next one that succeeded: each failed run of a branch that never succeeds would read all later runs.
    """
    later = _ended(FINISHED_STATUSES, window).filter(
        **{name: OuterRef(name) for name in ("project_slug", "workflow", "branch")},
        received_at__gte=OuterRef("received_at") - Value(LATE),
        stopped_at__gt=OuterRef("stopped_at"),
    )
    return later.order_by("received_at", "pk").values("pk")[:1]


def _read_ends(keys: list[int]) -> dict[int | None, Any]:
    """Return the key, the end and the event id of the successful ones of these runs, by their keys."""
    ends: dict[int | None, Any] = {}
    for start in range(0, len(keys), READ_TOGETHER):
        runs = WorkflowEvent.objects.filter(pk__in=keys[start : start + READ_TOGETHER], status__in=GOOD_STATUSES)
        ends |= {run.pk: run for run in runs.order_by().values_list(*END_COLUMNS, named=True)}
    return ends


def _breakage(runs: list[Any], recovery: Any) -> Breakage:
    first = min(runs, key=lambda run: (run.stopped_at, run.event_id))
    return Breakage(
        project_slug=first.project_slug,
        project=first.project,
        workflow=first.workflow,
        branch=first.branch,
        failures=len(runs),
        failed_at=first.stopped_at,
        failed=first.event_id,
        failed_key=first.pk,
        recovered_at=recovery and recovery.stopped_at,
        recovered=recovery and recovery.event_id,
        recovered_key=recovery and recovery.pk,
    )
