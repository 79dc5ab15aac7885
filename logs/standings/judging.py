"""Judge one branch: compare its newest runs with its standing."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone

from logs.circleci.vocabulary import EventType, Tone
from logs.models import ChangeKind, Origin, Standing, StateChange, WorkflowEvent
from logs.standings.stepping import Change, Kind, Run, State, judge
from logs.times import duration

WINDOW = 30  # How many of a branch's newest runs, by arrival, are compared with its standing.
# If it has failed for longer than that, or if the run that decided is older, because no watch has run for some time.
LONG_WINDOW = 1_000
KEY = ("project_slug", "workflow", "branch")
COLUMNS = (
    *("pk", "project", "project_id", "status", "pipeline_number", "stopped_at", "happened_at", "received_at"),
    *("verified", "origin", "revision", "author", "commit_subject"),
)
FIRST_CHECK = "first check of this branch"
ORIGINS = {Origin.API: "read from CircleCI's API", Origin.IMPORT: "imported"}

Branch = tuple[str, str, str]  # The values of KEY.
Row = Any  # A run's COLUMNS, by name.


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A branch's state after its newest runs, and how it has changed."""

    branch: Branch
    standing: Standing | None  # None if no run decides any more.
    changes: Sequence[StateChange]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Runs:
    """The runs by which a branch is judged."""

    rows: dict[int, Row]  # By primary key.
    newest: Row | None  # By arrival.
    is_whole: bool  # Whether these are all runs of the branch.


def key_of(branch: Branch) -> dict[str, str]:
    """Return the columns that identify a branch, in events and in standings."""
    return dict(zip(KEY, branch, strict=True))


def judge_branch(branch: Branch, *, is_first: bool) -> Judgement | None:
    """Judge a branch by its newest runs; return None if its standing is up to date.

    Args:
        branch: the branch of a workflow.
        is_first: whether this is the first check of the log, which reports nothing.
    """
    key = key_of(branch)
    standing = Standing.objects.filter(**key).first() or Standing(**key)
    runs = _read_runs(standing, key)
    known = _known_state(standing, runs.rows)
    state, changes = judge(known, _numbered(runs.rows.values()), is_whole=runs.is_whole)
    before, broken_at = dict(vars(standing)), standing.broken_at
    if state:
        _update(standing, state, runs)
    if before == vars(standing) and bool(state) == bool(known):
        return None
    noted = [_state_change(change, standing, runs.rows, broken_at=broken_at) for change in changes]
    causes = [runs.rows[change.run.pk] for change in changes]
    _explain(noted, causes, is_first=is_first and known is None)
    return Judgement(branch=branch, standing=standing if state else None, changes=noted)


def _read_runs(standing: Standing, key: dict[str, str]) -> _Runs:
    """Read the newest runs of a branch, and those that its standing refers to."""
    events = WorkflowEvent.objects.filter(event_type=EventType.WORKFLOW_COMPLETED, **key)
    referenced = (standing.last_id, standing.last_good_id, standing.broken_since_id)
    needed = {pk for pk in referenced if pk is not None}
    for size in (WINDOW, LONG_WINDOW):
        newest = list(_rows(events.newest_first()[:size]))
        rows = {row.pk: row for row in newest}
        has_all = len(newest) < size
        if has_all or (standing.last_id in rows and standing.broken_since_id in {None, *rows}):
            break
    if needed - rows.keys():
        rows |= {row.pk: row for row in _rows(events.filter(pk__in=needed - rows.keys()))}
    # A missing one was deleted by retention, or its newer version names another branch.
    return _Runs(rows=rows, newest=newest[0] if newest else None, is_whole=has_all and needed <= rows.keys())


def _rows(events: Any) -> Iterable[Row]:
    rows: Iterable[Row] = events.values_list(*COLUMNS, named=True)
    return rows


def _numbered(rows: Iterable[Row]) -> Iterable[Run]:
    return (_run(row) for row in rows if row.pipeline_number is not None)


def _run(row: Row) -> Run:
    return Run(
        pk=row.pk,
        status=row.status,
        pipeline_number=row.pipeline_number,
        stopped_at=row.stopped_at,
        is_proven=row.verified or row.origin == Origin.API,
    )


def _known_state(standing: Standing, rows: dict[int, Row]) -> State | None:
    if not standing.tone or standing.last_id is None or standing.pipeline_number is None:
        return None

    def run(pk: int | None) -> Run | None:
        return _run(rows[pk]) if pk in rows and rows[pk].pipeline_number is not None else None

    last = Run(
        pk=standing.last_id,
        status="failed" if standing.tone == Tone.BAD else "success",
        pipeline_number=standing.pipeline_number,
        stopped_at=standing.stopped_at,
        is_proven=bool(standing.is_proven),
    )
    return State(
        last=last,
        last_good=last if standing.last_good_id == last.pk else run(standing.last_good_id),
        first_bad=last if standing.broken_since_id == last.pk else run(standing.broken_since_id),
        failures=standing.failures,
    )


def _update(standing: Standing, state: State, runs: _Runs) -> None:
    rows = runs.rows
    if state.last.pk in rows:
        standing.project, standing.project_id = rows[state.last.pk].project, rows[state.last.pk].project_id
    standing.tone, standing.failures, standing.is_proven = state.tone, state.failures, state.last.is_proven
    standing.last_id = state.last.pk
    standing.pipeline_number, standing.stopped_at = state.last.pipeline_number, state.last.stopped_at
    # The ids and times of runs that retention has deleted stay.
    if state.last_good and state.last_good.pk in rows:
        standing.last_good_id, standing.last_good_at = state.last_good.pk, _ended(rows[state.last_good.pk])
    elif standing.last_good_id in rows:  # It has another status now.
        standing.last_good_id = standing.last_good_at = None
    if not state.failures:
        standing.broken_since_id = standing.broken_at = None
    elif state.first_bad and state.first_bad.pk in rows:
        standing.broken_since_id, standing.broken_at = state.first_bad.pk, _ended(rows[state.first_bad.pk])
    if runs.newest:
        standing.last_run_at = runs.newest.received_at


def _ended(row: Row) -> datetime:
    """Return when a run ended; a time in the future is wrong, and the run had ended when its event arrived."""
    ended: datetime = row.stopped_at or row.happened_at or row.received_at
    return ended if ended <= timezone.now() else row.received_at


def _state_change(
    change: Change, standing: Standing, rows: Mapping[int, Row], *, broken_at: datetime | None
) -> StateChange:
    """Return a change's row, as loud.

    Args:
        change: the change.
        standing: the branch.
        rows: all runs, by primary key.
        broken_at: when the known state broke, for a change whose first failed run has been deleted.
    """
    row = rows[change.run.pk]
    ended = _ended(row)
    began = _ended(rows[change.first_bad.pk]) if change.first_bad and change.first_bad.pk in rows else broken_at
    is_fixed = change.kind is Kind.FIXED
    return StateChange(
        project_slug=standing.project_slug,
        project=standing.project or row.project,
        workflow=standing.workflow,
        branch=standing.branch,
        kind=ChangeKind(change.kind),
        event_id=row.pk,
        pipeline_number=row.pipeline_number,
        revision=row.revision,
        author=row.author,
        subject=row.commit_subject,
        happened_at=ended,
        noted_at=timezone.now(),
        broken_for_seconds=max(0.0, (ended - began).total_seconds()) if is_fixed and began else None,
        failures=change.failures,
    )


def _explain(noted: Sequence[StateChange], causes: Sequence[Row], *, is_first: bool) -> None:
    """Set the reasons of the changes that are quiet; `causes` are the runs that caused them."""
    later: StateChange | None = None
    for change, row in reversed(list(zip(noted, causes, strict=True))):
        age = change.noted_at - change.happened_at
        if is_first:
            change.quiet_reason = FIRST_CHECK
        elif age > timedelta(minutes=settings.NOTIFICATION_MAX_AGE_MINUTES):
            change.quiet_reason = f"ended {duration(age.total_seconds())} before it was read"
        elif row.origin in ORIGINS:
            change.quiet_reason = ORIGINS[row.origin]
        elif not row.verified:
            change.quiet_reason = "not signed; no rule asks for unsigned events"
        elif later:
            change.quiet_reason = f"overtaken by run #{later.pipeline_number}"
        later = change
