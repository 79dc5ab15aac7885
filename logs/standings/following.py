"""Follow the log: judge the branches of new runs, and write their standings and state changes.

Each check compares the log with the standings, so a second check of the same runs changes nothing. Nothing is lost or
doubled if a check stops early or is repeated.
"""

import logging
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Protocol

from django.db import Error, connection
from django.db.models import CharField
from django.db.models.functions import Cast
from django.utils import timezone

from logs.circleci.vocabulary import EventType
from logs.models import Standing, StateChange, WorkflowEvent
from logs.standings.judging import KEY, Branch, Judgement, judge_branch, key_of
from logs.standings.overlapping import Version, Written
from logs.transactions import durable_transaction

logger = logging.getLogger(__name__)

BATCH_SIZE = 50
BRANCHES_READ_TOGETHER = 500
MOST_SKIPPED = 1_000  # How many branches that could not be judged are remembered by the next process.
IDLE_AFTER = timedelta(days=90)
JUDGED_COLUMNS = [field.name for field in Standing._meta.concrete_fields if field.name not in ("id", *KEY)]

# Both databases read it from event_workflow_runs, and stop after the last branch.
_NEXT_BRANCHES = """
    SELECT project_slug, workflow, branch FROM logs_workflowevent
    WHERE event_type = 'workflow-completed' AND (project_slug, workflow, branch) > (%s, %s, %s)
    GROUP BY project_slug, workflow, branch ORDER BY project_slug, workflow, branch LIMIT %s
"""


class BranchesSkipped(Exception):
    """Some branches could not be judged."""


class Lease(Protocol):
    """The right to follow the log, which one process has at a time."""

    # {"until": the end of the last complete check in ISO 8601, "skipped": branches}; None before the first check.
    cursor: Any

    def renew(self) -> None:
        """Store the cursor; raise an error if another process has the lease now."""


class Follower:
    """Checks the log for new runs repeatedly.

    Args:
        report: is called in the transaction that stores some judgements, with these judgements. Each has only the
            changes that were not stored before.
    """

    def __init__(self, report: Callable[[list[Judgement]], object]) -> None:
        self._report = report
        self._written = Written(_runs_changed_between)
        self._skipped: dict[Branch, str] = {}  # The branches that could not be judged, with their errors.

    def check(self, lease: Lease) -> Iterator[None]:
        """Judge the branches of all runs written since the last check; yield after each batch.

        The first check judges all branches of the log.

        Raises:
            BranchesSkipped: the check is complete, except for some branches that could not be judged.
        """
        started = timezone.now()
        if lease.cursor is None:
            for branches in _all_branches():
                yield from self._judge(branches, lease, is_first=True)
            lease.cursor = self._cursor(started)
        else:
            if self._written.is_wide_due:
                skipped = {tuple(branch) for branch in lease.cursor["skipped"]} | self._skipped.keys()
                yield from self._judge(skipped, lease)
            for versions, until in self._written.since(datetime.fromisoformat(lease.cursor["until"]), started):
                yield from self._judge({version[2:] for version in versions}, lease)
                lease.cursor = self._cursor(until)
        if self._skipped:
            branch, error = next(iter(self._skipped.items()))
            raise BranchesSkipped(f"{len(self._skipped)} branches cannot be judged, such as {branch!r}: {error}")

    def _cursor(self, until: datetime) -> dict[str, Any]:
        return {"until": until.isoformat(), "skipped": list(self._skipped)[:MOST_SKIPPED]}

    def _judge(self, branches: Collection[Branch], lease: Lease, *, is_first: bool = False) -> Iterator[None]:
        """Judge branches in batches, each with one transaction; yield after each batch, and if there is none."""
        remaining = iter(branches)
        while batch := list(islice(remaining, BATCH_SIZE)):
            judgements = [self._try_to_judge(branch, is_first=is_first) for branch in batch]
            _write([judgement for judgement in judgements if judgement], lease, report=self._report)
            yield
        yield

    def _try_to_judge(self, branch: Branch, *, is_first: bool) -> Judgement | None:
        try:
            judgement = judge_branch(branch, is_first=is_first)
        except Error:
            raise
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
            if self._skipped.get(branch) != text:
                logger.exception("a branch cannot be judged: %r", branch)
            self._skipped[branch] = text
            return None
        self._skipped.pop(branch, None)
        return judgement


def _write(judgements: list[Judgement], lease: Lease, *, report: Callable[[list[Judgement]], object]) -> None:
    if not judgements:
        return
    standings = [judgement.standing for judgement in judgements if judgement.standing]
    for standing in standings:
        standing.pk = None  # The branch identifies it.
    with durable_transaction():
        lease.renew()  # First: if the lease is lost, another process may have judged later runs.
        Standing.objects.bulk_create(standings, update_conflicts=True, unique_fields=KEY, update_fields=JUDGED_COLUMNS)
        for judgement in judgements:
            if judgement.standing is None:
                Standing.objects.filter(**key_of(judgement.branch)).delete()
        _note([change for judgement in judgements for change in judgement.changes])
        # Those that were stored before have no primary key.
        report([replace(each, changes=[change for change in each.changes if change.pk]) for each in judgements])


def _note(changes: list[StateChange]) -> None:
    """Store the changes that are new: a run breaks a branch twice if its status changes in between."""
    if not changes:
        return
    stored = StateChange.objects.filter(event__in=[change.event_id for change in changes])
    known = set(stored.values_list("event_id", "kind"))
    StateChange.objects.bulk_create(change for change in changes if (change.event_id, change.kind) not in known)


def _all_branches() -> Iterator[list[Branch]]:
    """Yield all branches with runs, in lists that take a bounded time to read."""
    last: Branch = ("", "", "")
    while True:
        with connection.cursor() as cursor:
            cursor.execute(_NEXT_BRANCHES, [*last, BRANCHES_READ_TOGETHER])
            branches: list[Branch] = cursor.fetchall()
        if not branches:
            return
        yield [branch for branch in branches if branch[2]]
        last = branches[-1]


def _runs_changed_between(since: datetime, until: datetime | None) -> dict[int, Version]:
    """Return the runs written in a slice of time, by primary key.

    The times of their changes stay text: converting 60,000 of them would take longer than everything else.
    """
    changed = WorkflowEvent.objects.filter(changed_at__gte=since, event_type=EventType.WORKFLOW_COMPLETED)
    if until:
        changed = changed.filter(changed_at__lt=until)
    versions = changed.exclude(branch="").order_by().values_list("pk", Cast("changed_at", CharField()), *KEY)
    return {version[0]: version for version in versions}


def drop_idle_standings() -> Iterator[None]:
    """Remove the standings of branches without a run for IDLE_AFTER, except default branches; yield per batch."""
    idle = Standing.objects.filter(last_run_at__lt=timezone.now() - IDLE_AFTER)
    candidates = idle.only("project_slug", "branch").order_by("pk")
    removed = [standing.pk for standing in candidates if not standing.is_on_default_branch]
    for start in range(0, len(removed), BATCH_SIZE):
        with durable_transaction():
            idle.filter(pk__in=removed[start : start + BATCH_SIZE]).delete()
        yield
