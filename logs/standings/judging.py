"""Judge one branch: compare its newest runs with its standing."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone

from logs.circleci.vocabulary import EventType, Tone
from logs.models import ChangeKind, Origin, Standing, StateChange, WorkflowEvent
from logs.standings.stepping import Change, Kind, Run, State, failures_before, judge
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
DELETED = "its run was deleted"
UNSIGNED = "not signed; no rule asks for unsigned events"  # A rule may ask for them: `logs.notifications.rules`.
ORIGINS = {Origin.API: "read from CircleCI's API", Origin.IMPORT: "imported"}

Branch = tuple[str, str, str]  # The values of KEY.
Row = Any  # A run's COLUMNS, by name.


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A branch's state after its newest runs, and how it has changed."""

    branch: Branch
    standing: Standing | None  # None if no run decides any more.
    changes: Sequence[StateChange]
    is_new: bool = False  # Whether the branch had no standing before the check.
    failures_before: int = 0  # How many of the failures were known before the check; 0 if the state changed in it.
    quiet_reason: str = ""  # Why the run that decides is not reported, as in StateChange.

    @property
    def failures(self) -> int:
        """How many runs in a row have failed."""
        return self.standing.failures if self.standing else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Runs:
    """The runs by which a branch is judged."""

    rows: dict[int, Row]  # By primary key.
    newest: Row | None  # By arrival.
    is_whole: bool  # Whether these are all runs of the branch.


def branch_of(row: Any) -> Branch:
    """Return the branch of a run, a standing or a change."""
    return row.project_slug, row.workflow, row.branch


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
    is_first = is_first and known is None
    _explain(noted, causes, is_first=is_first)
    return Judgement(
        branch=branch,
        standing=standing if state else None,
        changes=noted,
        is_new=known is None,
        failures_before=failures_before(known, state.last) if state and not noted else 0,
        quiet_reason=_why_quiet(state and runs.rows.get(state.last.pk), timezone.now(), is_first=is_first),
    )


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
    return (run_of(row) for row in rows if row.pipeline_number is not None)


def run_of(row: Row) -> Run:
    """Return the values of a row by which its branch is judged."""
    return Run(
        pk=row.pk,
        status=row.status,
        pipeline_number=row.pipeline_number,
        stopped_at=row.stopped_at,
        is_proven=is_proven(row),
    )


def is_proven(row: Row) -> bool:
    """Return whether CircleCI signed a run or job, or whether it was read from CircleCI's API."""
    return bool(row.verified) or row.origin == Origin.API


def _known_state(standing: Standing, rows: dict[int, Row]) -> State | None:
    if not standing.tone or standing.last_id is None or standing.pipeline_number is None:
        return None

    def run(pk: int | None) -> Run | None:
        return run_of(rows[pk]) if pk in rows and rows[pk].pipeline_number is not None else None

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


def ended_at(row: Row, now: datetime) -> datetime:
    """Return when a run ended; a time in the future is wrong, and the run had ended when its event arrived."""
    ended: datetime = row.stopped_at or row.happened_at or row.received_at
    return ended if ended <= now else row.received_at


def _ended(row: Row) -> datetime:
    return ended_at(row, timezone.now())


def why_quiet(row: Row, now: datetime) -> str:
    """Return why a run or job that is read now is not reported; "" if it is. UNSIGNED comes last: a rule may lift it.

    Args:
        row: anything with its times, its origin and whether it is verified.
        now: when it is read.
    """
    age = now - ended_at(row, now)
    if age > timedelta(minutes=settings.NOTIFICATION_MAX_AGE_MINUTES):
        return f"ended {duration(age.total_seconds())} before it was read"
    if row.origin in ORIGINS:
        return ORIGINS[row.origin]
    return "" if row.verified else UNSIGNED


def _why_quiet(row: Row | None, now: datetime, *, is_first: bool) -> str:
    if is_first:
        return FIRST_CHECK
    return why_quiet(row, now) if row else DELETED


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
        change.quiet_reason = _why_quiet(row, change.noted_at, is_first=is_first)
        if later and change.quiet_reason in ("", UNSIGNED):
            change.quiet_reason = f"overtaken by run #{later.pipeline_number}"
        later = change
