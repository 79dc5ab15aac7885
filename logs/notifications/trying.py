"""Try a rule on the log, with the steps and comparisons of the watch; nothing is written.

The branches are taken as new when the trial begins: one that was broken already is reported with its next failed run.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from logs.circleci.vocabulary import EventType
from logs.models import WorkflowEvent
from logs.models.notifications import Channel, NotificationKind
from logs.models.rules import Rule, Subject
from logs.models.standings import RESTING_AFTER
from logs.notifications.channels import TRANSPORTS
from logs.notifications.events import KINDS
from logs.notifications.rules import (
    channels_for,
    is_loud,
    matches,
    matches_event,
    matches_standing,
    reports_breakage,
    reports_fix,
)
from logs.standings.judging import WINDOW, branch_of, ended_at, run_of, why_quiet
from logs.standings.stepping import Change, Kind, Run, State, failures_before, judge, step

MOST_RUNS = 20_000
WEEK = timedelta(days=7)
COLUMNS = (
    *("pk", "project_slug", "project", "workflow", "branch", "tag", "author", "revision", "status", "verified"),
    *("origin", "pipeline_number", "stopped_at", "happened_at", "received_at"),
)

Row = Any  # An event's COLUMNS, by name.


@dataclass(frozen=True, slots=True, kw_only=True)
class WouldSend:
    """A message that a rule would have sent, once to each of its channels."""

    kind: str  # A NotificationKind.
    project: str
    workflow: str
    branch: str  # Or the tag.
    pipeline_number: int | None
    revision: str
    author: str
    happened_at: datetime
    event_id: int | None  # The primary key of the run or job.
    channels: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What a rule would have sent."""

    messages: list[WouldSend]  # The newest first.
    runs: int  # How many runs (or jobs) were compared.
    since: datetime  # When the first of them arrived, if there were too many; otherwise the beginning of the period.

    @property
    def messages_sent(self) -> int:
        """How many messages the channels would have got."""
        return sum(len(message.channels) for message in self.messages)


def try_rule(rule: Rule, channels: Sequence[Channel], *, now: datetime, period: timedelta = WEEK) -> Trial:
    """Return what a rule would have sent if the log had been checked after each run. It writes nothing.

    Args:
        rule: the rule, which need not be stored.
        channels: the channels it would have.
        now: the end of the period.
        period: how far to go back; at most the newest MOST_RUNS are read.
    """
    if rule.subject == Subject.LOG:
        return Trial(messages=[], runs=0, since=now - period)
    rows = _rows(rule, now - period, now)
    since = rows[-1].received_at if len(rows) == MOST_RUNS else now - period
    usable = channels_for(rule, channels)
    trying = _Changes(rule, usable, now).messages if rule.subject == Subject.CHANGES else _Events(rule, usable).messages
    messages = list(trying(reversed(rows)))[::-1]
    messages.sort(key=lambda message: message.happened_at, reverse=True)
    return Trial(messages=messages, runs=len(rows), since=since)


def _rows(rule: Rule, since: datetime, now: datetime) -> list[Row]:
    """Return the newest runs or jobs of a period, the last arrival first."""
    arrived = WorkflowEvent.objects.filter(received_at__gte=since, received_at__lte=now).newest_first()
    if rule.subject == Subject.JOBS:
        events = arrived.filter(event_type=EventType.JOB_COMPLETED)
    else:
        events = arrived.filter(event_type=EventType.WORKFLOW_COMPLETED, job="")  # In the order of event_job_newest.
    return list(events.values_list(*COLUMNS, named=True)[:MOST_RUNS])


def _message(kind: str, row: Row, channels: Iterable[Channel], at: datetime) -> WouldSend:
    return WouldSend(
        kind=kind,
        project=row.project,
        workflow=row.workflow,
        branch=row.branch or row.tag,
        pipeline_number=row.pipeline_number,
        revision=row.revision,
        author=row.author,
        happened_at=at,
        event_id=row.pk,
        channels=[channel.name for channel in channels],
    )


class _Events:
    """Tries a rule on runs or jobs."""

    def __init__(self, rule: Rule, channels: Sequence[Channel]) -> None:
        self._rule, self._channels = rule, channels

    def messages(self, rows: Iterable[Row]) -> Iterator[WouldSend]:
        """Yield the messages about some events, in the order of their arrival."""
        kind = KINDS[Subject(self._rule.subject)]
        for row in rows:
            if matches_event(self._rule, row) and is_loud(self._rule, why_quiet(row, row.received_at)):
                yield _message(kind, row, self._channels, ended_at(row, row.received_at))


@dataclass(slots=True)
class _Branch:
    """A workflow on a branch, as far as the trial has come."""

    state: State | None = None
    rows: dict[int, Row] = field(default_factory=dict)  # Those of the runs that the state names.
    newest: deque[Run] = field(default_factory=lambda: deque(maxlen=WINDOW))
    broke: Row | None = None  # The run that broke it.
    reported: tuple[datetime, Row] | None = None  # When its breakage was reported, and the run that was reported.
    last_run_at: datetime | None = None  # When its newest run arrived.
    open: list[Channel] = field(default_factory=list)  # The channels that got a breakage, and no fix since.


class _Changes:
    """Tries a rule on changes."""

    def __init__(self, rule: Rule, channels: Sequence[Channel], now: datetime) -> None:
        self._rule, self._channels, self._now = rule, channels, now
        self._reminded = [channel for channel in channels if TRANSPORTS[channel.kind].is_reminded]
        self._branches: dict[tuple[str, str, str], _Branch | None] = {}

    def messages(self, rows: Iterable[Row]) -> Iterator[WouldSend]:
        """Yield the messages about some runs, in the order of their arrival."""
        for row in rows:
            if row.branch and row.pipeline_number is not None:
                branch = self._branch(row)
                if branch:
                    yield from self._judge(branch, row)
        for branch in filter(None, self._branches.values()):
            yield from self._reminders(branch, self._now)

    def _branch(self, row: Row) -> _Branch | None:
        """Return a run's branch; None if the rule does not select it."""
        key = branch_of(row)
        if key not in self._branches:
            self._branches[key] = _Branch() if matches_standing(self._rule, row) else None
        return self._branches[key]

    def _judge(self, branch: _Branch, row: Row) -> Iterator[WouldSend]:
        """Yield the messages about a branch when a run has arrived."""
        yield from self._reminders(branch, row.received_at)
        known, branch.last_run_at = branch.state, row.received_at
        change = _step(branch, row)
        after = branch.state.failures if branch.state else 0
        before = failures_before(known, branch.state.last) if branch.state else 0
        if change and change.kind is Kind.FIXED:
            yield from self._fix(branch, row)
        elif after > before:
            branch.broke = row if change else branch.broke
            yield from self._breakage(branch, row, before=before, after=after)

    def _breakage(self, branch: _Branch, row: Row, *, before: int, after: int) -> Iterator[WouldSend]:
        decides = branch.rows[branch.state.last.pk] if branch.state else row
        is_due = reports_breakage(self._rule, before=before, after=after) and not branch.reported
        is_matching = branch.broke is not None and matches(self._rule.authors, branch.broke.author)
        if is_due and is_matching and is_loud(self._rule, why_quiet(decides, row.received_at)):
            branch.reported, branch.open = (row.received_at, decides), list(self._channels)
            yield _message(NotificationKind.BROKE, decides, self._channels, ended_at(decides, row.received_at))

    def _fix(self, branch: _Branch, row: Row) -> Iterator[WouldSend]:
        branch.reported = None
        is_heard = is_loud(self._rule, why_quiet(row, row.received_at))
        channels = [each for each in self._channels if self._gets_fix(each, branch, row, is_heard=is_heard)]
        branch.open = [each for each in branch.open if each not in channels]
        if channels:
            yield _message(NotificationKind.FIXED, row, channels, ended_at(row, row.received_at))

    def _gets_fix(self, channel: Channel, branch: _Branch, row: Row, *, is_heard: bool) -> bool:
        """Return whether a channel gets a fix: an incident's end is sent whatever the rule says."""
        has_breakage = channel in branch.open
        is_end = has_breakage and not TRANSPORTS[channel.kind].is_combined
        return is_end or (is_heard and reports_fix(self._rule, row, has_breakage=has_breakage))

    def _reminders(self, branch: _Branch, until: datetime) -> Iterator[WouldSend]:
        """Yield the reminders of a breakage that was reported, since the branch's last run, until it rests."""
        if not (branch.reported and branch.last_run_at and self._rule.remind_every_hours and self._reminded):
            return
        (reported_at, row), interval = branch.reported, timedelta(hours=self._rule.remind_every_hours)
        until = min(until, branch.last_run_at + RESTING_AFTER)
        sent = (branch.last_run_at - reported_at) // interval
        for count in range(sent + 1, (until - reported_at) // interval + 1):
            yield _message(NotificationKind.REMINDER, row, self._reminded, reported_at + count * interval)


def _step(branch: _Branch, row: Row) -> Change | None:
    """Compare a run with the state of its branch, as the watch would; return the change if there is one."""
    run = run_of(row)
    branch.newest.append(run)
    branch.rows[run.pk] = row
    state, change = step(branch.state, run)
    if state and state is branch.state and run.key <= state.last.key:
        # A late run of an older pipeline: the failures in a row may differ.
        state, _ = judge(state, branch.newest, is_whole=False)
    branch.state = state
    return change
