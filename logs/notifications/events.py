"""Report runs and jobs, as rules ask for: one message per workflow run or job."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import reduce
from operator import or_
from typing import Any

from django.db.models import CharField, Q
from django.db.models.functions import Cast
from django.utils import timezone

from logs.circleci.vocabulary import EventType
from logs.models import WorkflowEvent
from logs.models.notifications import Notification, NotificationKind
from logs.models.rules import Rule, Subject
from logs.models.watch import FOLLOW, WatchTask
from logs.notifications.outbox import add, new_notification, read_site_id, thread_of
from logs.notifications.rules import channels_for, is_loud, matches_event
from logs.standings.following import Lease
from logs.standings.judging import why_quiet
from logs.standings.overlapping import Version, Written
from logs.transactions import durable_transaction

# A run is read this long after the check that looked for changes: transactions that were open then have ended since.
DELAY = timedelta(seconds=3)
SUBJECTS = {EventType.WORKFLOW_COMPLETED: Subject.RUNS, EventType.JOB_COMPLETED: Subject.JOBS}
KINDS = {Subject.RUNS: NotificationKind.RUN, Subject.JOBS: NotificationKind.JOB}
COLUMNS = (
    *("project_slug", "project", "workflow", "branch", "tag", "author", "status", "verified", "origin"),
    *("stopped_at", "happened_at", "received_at"),
)


class EventFollower:
    """Checks the log for new runs and jobs repeatedly, if rules ask for them.

    Args:
        report: is called in the transaction that adds notifications.
    """

    def __init__(self, report: Callable[[], object]) -> None:
        self._report = report
        self._written = Written(self._read)
        self._starts: dict[EventType, datetime] = {}  # Since when rules ask for each type.
        self._end = timezone.now()

    def check(self, lease: Lease) -> Iterator[None]:
        """Add notifications for the events written since the last check; yield after each slice of time.

        Events from before the first check with a rule on their type are not reported. A run waits until the changes of
        its time are noted: a channel that gets the change gets no message about the run.
        """
        rules = defaultdict(list)
        for rule in Rule.objects.filter(enabled=True, subject__in=KINDS).prefetch_related("channels").order_by("pk"):
            rules[rule.subject].append(rule)
        now = timezone.now() - DELAY
        self._starts = _starts([kind for kind, subject in SUBJECTS.items() if rules[subject]], lease.cursor, now)
        since = min(self._starts.values(), default=now)
        if lease.cursor and self._starts:
            since = max(since, datetime.fromisoformat(lease.cursor["until"]))
        starts = {kind: start.isoformat() for kind, start in self._starts.items()}
        lease.cursor = {"since": starts, "until": since.isoformat()}
        followed = _followed_until() if starts else None
        if followed is None:
            return
        self._end = min(now, followed - DELAY)
        for versions, until in self._written.since(since, self._end):
            self._add(list(_wanted(versions, rules)), lease)
            lease.cursor = lease.cursor | {"until": until.isoformat()}
            yield

    def _read(self, since: datetime, until: datetime | None) -> dict[int, Version]:
        """Return the runs and jobs written in a slice of time, by primary key; their times of change stay text."""
        written = WorkflowEvent.objects.filter(changed_at__gte=since, changed_at__lt=until or self._end)
        wanted = [Q(event_type=kind, changed_at__gte=start) for kind, start in self._starts.items()]
        rows = written.filter(reduce(or_, wanted)).annotate(version=Cast("changed_at", CharField())).order_by()
        return {row.pk: row for row in rows.values_list("pk", "version", "event_type", *COLUMNS, named=True)}

    def _add(self, wanted: list[Notification], lease: Lease) -> None:
        """Store notifications, except for the runs whose change the channel gets."""
        if not wanted:
            return
        threads = {each.thread for each in wanted}
        with durable_transaction():
            lease.renew()
            changes = Notification.objects.filter(
                thread__in=threads, kind__in=(NotificationKind.BROKE, NotificationKind.FIXED)
            )
            known = set(changes.values_list("channel_id", "event_id"))
            add(each for each in wanted if (each.channel_id, each.event_id) not in known)
            self._report()


def _starts(kinds: Iterable[EventType], cursor: Any, now: datetime) -> dict[EventType, datetime]:
    """Return since when each type is reported: since its first rule, or since the clock was set back."""
    known = {kind: datetime.fromisoformat(start) for kind, start in cursor["since"].items()} if cursor else {}
    return {kind: min(known.get(kind, now), now) for kind in kinds}


def _followed_until() -> datetime | None:
    """Return until when all changes are noted; None before the first check of the log is complete."""
    cursor = WatchTask.objects.filter(name=FOLLOW).values_list("cursor", flat=True).first()
    return datetime.fromisoformat(cursor["until"]) if cursor else None


def _wanted(events: Sequence[Any], rules: dict[str, list[Rule]]) -> Iterable[Notification]:
    """Yield the notifications that rules ask for."""
    site_id, now = read_site_id() if events else "", timezone.now()
    for event in events:
        subject = SUBJECTS[event.event_type]
        for rule in rules[subject]:
            if matches_event(rule, event) and is_loud(rule, why_quiet(event, now)):
                kind = KINDS[subject]
                thread = thread_of(site_id, event.project_slug, event.workflow, event.branch or event.tag)
                for channel in channels_for(rule, rule.channels.all()):
                    yield new_notification(
                        channel, kind, f"{kind}:{event.pk}", thread=thread, event_id=event.pk, rule=rule
                    )
