"""Decide the state of a workflow on a branch from its runs, without a database.

The run of the newest pipeline decides, not the run that arrived last: pipelines overlap, and CircleCI may deliver late.
Runs that neither succeeded nor failed, such as canceled ones, decide nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum

from logs.circleci.vocabulary import Tone, tone_of

NEVER = datetime.min.replace(tzinfo=UTC)
Key = tuple[bool, int, datetime, int]


class Kind(StrEnum):
    """How a state changed."""

    BROKE = "broke"
    FIXED = "fixed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A finished run of a workflow: the values that decide its place in the order of runs, and the branch's state.

    Versions of the same run are equal.
    """

    pk: int
    status: str = field(compare=False)
    pipeline_number: int = field(compare=False)
    stopped_at: datetime | None = field(compare=False)
    is_proven: bool = field(compare=False)  # CircleCI signed it, or it was read from CircleCI's API.

    @property
    def key(self) -> Key:
        """The position in the order of runs. Proven runs come last: no other run outranks one of them."""
        return self.is_proven, self.pipeline_number, self.stopped_at or NEVER, self.pk

    @property
    def tone(self) -> Tone:
        """GOOD or BAD; another tone decides nothing."""
        return tone_of(self.status)


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The state of a workflow on a branch."""

    last: Run  # The run that decides.
    last_good: Run | None  # The last run that succeeded.
    first_bad: Run | None = None  # The first failed run after it; None if `last` succeeded, or if the run was deleted.
    failures: int = 0  # How many runs in a row have failed; 0 if `last` succeeded.

    @property
    def tone(self) -> Tone:
        """GOOD or BAD."""
        return Tone.BAD if self.failures else Tone.GOOD


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change of a branch's state."""

    kind: Kind
    run: Run  # The run that caused it.
    failures: int  # How many runs in a row have failed: before it was fixed, or with the run that broke it.
    first_bad: Run | None  # The first of them; None if it was deleted.


def step(state: State | None, run: Run) -> tuple[State | None, Change | None]:
    """Return the state after a run, and the change if there is one.

    A run that is not newer than the run that decided, or that neither succeeded nor failed, changes nothing. A branch
    whose first run fails broke; a branch whose first run succeeds has not changed. Once a proven run decides, failed
    runs that are not proven do not count.
    """
    tone = run.tone
    if tone not in (Tone.GOOD, Tone.BAD) or (state and run.key <= state.last.key):
        return state, None
    failures = state.failures if state else 0
    first_bad = state.first_bad if state else None
    if tone is Tone.GOOD:
        fixed = Change(kind=Kind.FIXED, run=run, failures=failures, first_bad=first_bad) if failures else None
        return State(last=run, last_good=run), fixed
    broke = None if failures else Change(kind=Kind.BROKE, run=run, failures=1, first_bad=run)
    last_good = state.last_good if state else None
    counted = failures_before(state, run)
    first_bad = first_bad if counted else run
    return State(last=run, last_good=last_good, first_bad=first_bad, failures=counted + 1), broke


def failures_before(known: State | None, last: Run) -> int:
    """Return how many failed runs of a known state count if `last` decides."""
    return known.failures if known and known.last.is_proven == last.is_proven else 0


def judge(known: State | None, runs: Iterable[Run], *, is_whole: bool) -> tuple[State | None, list[Change]]:
    """Return a branch's state after some runs, and the changes since the known state, oldest first.

    If the runs are all runs of the branch, the result does not depend on the order in which they arrived. Judging the
    same runs again changes nothing.

    Args:
        known: the state found by the last judgement; None before the first.
        runs: the branch's newest runs by arrival and those of the known state, each in its newest version. A run that
            the known state is based on may have a new status, and runs older than its last run may have arrived since.
        is_whole: whether these are all runs of the branch.
    """
    shown = {run.pk: run for run in runs}
    state, changes = known, []
    if known:
        state = _recount(known, shown, is_whole=is_whole)
        if _is_bad(state) != _is_bad(known):  # The run that decided has a new status.
            changes.append(_change_by(shown.get(known.last.pk, known.last), known, state))
    for run in _in_order(shown.values()):
        state, change = step(state, run)
        if change:
            changes.append(change)
    return state, changes


def _is_bad(state: State | None) -> bool:
    return state is not None and state.tone is Tone.BAD


def _in_order(runs: Iterable[Run]) -> list[Run]:
    return sorted((run for run in runs if run.tone in (Tone.GOOD, Tone.BAD)), key=lambda run: run.key)


def _recount(known: State, shown: dict[int, Run], *, is_whole: bool) -> State | None:
    """Return the known state, corrected by other statuses of its runs and by older runs that arrived late."""
    # A newer version of the last run may have a later time.
    end = max(known.last.key, shown.get(known.last.pk, known.last).key)
    older = [run for run in shown.values() if run.key <= end]
    if not is_whole:  # Retention may have deleted runs that the state is based on.
        older += [run for run in (known.last, known.last_good, known.first_bad) if run and run.pk not in shown]
    state: State | None = None
    for run in _in_order(older):
        state, _ = step(state, run)
    if is_whole or not (state and state.failures and known.failures) or state.last_good != known.last_good:
        return state
    if not failures_before(known, state.last):
        return state
    # Only the known state has counted the failed runs that are no longer shown.
    first_bad = known.first_bad and state.first_bad
    return replace(state, first_bad=first_bad, failures=max(state.failures, known.failures))


def _change_by(run: Run, known: State, state: State | None) -> Change:
    """Return the change that a new status of a run has caused."""
    if state and state.failures:
        return Change(kind=Kind.BROKE, run=run, failures=state.failures, first_bad=state.first_bad)
    return Change(kind=Kind.FIXED, run=run, failures=known.failures, first_bad=known.first_bad)
