"""Recoveries: from the first failed run of a workflow on a branch to the next successful one."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import OuterRef, Subquery, Value

from logs.circleci.vocabulary import BAD_STATUSES, GOOD_STATUSES, EventType
from logs.conf import is_default_branch
from logs.insights.figures import Recoveries
from logs.insights.selecting import Selection
from logs.insights.windows import SORTED_NEWEST_FIRST
from logs.models import WorkflowEvent
from logs.models.events import WorkflowEventQuerySet

MOST_FAILURES = 20_000  # The newest failed runs of a window; older ones are left out.
LATE = timedelta(hours=1)  # How long after the event of its recovery that of a failed run may arrive.
READ_TOGETHER = 1_000
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
        """The same in seconds."""
        return self.took.total_seconds() if self.took is not None else None


def read_breakages(selection: Selection) -> list[Breakage]:
    """Return the breakages whose runs failed in the selected window, the newest first.

    A breakage that began before the window counts from its first failed run in the window.
    """
    failed = _runs(BAD_STATUSES).filter(selection.window.of_events, stopped_at__isnull=False, **selection.columns)
    later = _runs(GOOD_STATUSES).filter(
        **{name: OuterRef(name) for name in ("project_slug", "workflow", "branch")},
        received_at__gte=OuterRef("received_at") - Value(LATE),
        stopped_at__gt=OuterRef("stopped_at"),
    )
    recovery = Subquery(later.order_by("received_at", "pk").values("pk")[:1])
    columns = ("project_slug", "workflow", "branch", recovery, "stopped_at", "event_id", "pk", "project")
    groups: defaultdict[tuple[str, str, str, int | None], list[tuple[datetime, str, int, str]]] = defaultdict(list)
    for slug, workflow, branch, recovered_by, *run in failed.order_by(*SORTED_NEWEST_FIRST).values_list(*columns)[
        :MOST_FAILURES
    ]:
        groups[slug, workflow, branch, recovered_by].append(tuple(run))
    ends = _read_ends([key for *_, key in groups if key is not None])
    breakages = []
    for (slug, workflow, branch, recovered_by), runs in groups.items():
        failed_at, event_id, key, project = min(runs)
        recovered_at, recovered = ends.get(recovered_by, (None, None))
        breakages.append(
            Breakage(
                project_slug=slug,
                project=project,
                workflow=workflow,
                branch=branch,
                failures=len(runs),
                failed_at=failed_at,
                failed=event_id,
                failed_key=key,
                recovered_at=recovered_at,
                recovered=recovered,
                recovered_key=recovered_by,
            )
        )
    return [each for each in breakages if each.is_on_default_branch or not selection.on_default_branch]


def sum_recoveries(breakages: Iterable[Breakage]) -> Recoveries:
    """Return the sums of those breakages that have recovered."""
    recovered = [each for each in breakages if each.took is not None]
    return Recoveries(
        count=len(recovered),
        failures=sum(each.failures for each in recovered),
        total=sum((each.took for each in recovered if each.took is not None), timedelta()),
    )


def _runs(statuses: tuple[str, ...]) -> WorkflowEventQuerySet:
    return WorkflowEvent.objects.filter(event_type=EventType.WORKFLOW_COMPLETED, status__in=statuses)


def _read_ends(keys: list[int]) -> dict[int | None, tuple[datetime, str]]:
    """Return when the runs with these keys ended, and their event ids."""
    ends: dict[int | None, tuple[datetime, str]] = {}
    for start in range(0, len(keys), READ_TOGETHER):
        runs = WorkflowEvent.objects.filter(pk__in=keys[start : start + READ_TOGETHER]).order_by()
        ends |= {key: (stopped_at, event_id) for key, stopped_at, event_id in runs.values_list(*END_COLUMNS)}
    return ends
