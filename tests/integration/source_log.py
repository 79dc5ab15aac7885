"""Logs of sources: deliveries of projects over weeks, and the watch's tasks that read them."""

import random
from datetime import UTC, datetime, timedelta

from logs.conf import fingerprint
from logs.insights.counting import backfill, refresh
from logs.models import Delivery, HourlyLag, Outcome, Source, WatchTask, WorkflowEvent
from logs.models.watch import SOURCES
from logs.standings.silence import SilenceCheck
from logs.standings.sources import FIRST_READ, SourceReader
from tests.integration.standings_log import FakeLease

SECRET = "a-secret-of-the-tests"
SECOND, MINUTE, HOUR, DAY, WEEK = (
    timedelta(seconds=1),
    timedelta(minutes=1),
    timedelta(hours=1),
    timedelta(days=1),
    timedelta(weeks=1),
)


def slug_of(project):
    return f"github/acme/{project}" if project else ""


def make_event(project="orchard", webhook="one", *, at=None, verified=True):
    """Log an event as if it had just arrived, without a delivery."""
    at = at or datetime.now(UTC)
    return WorkflowEvent(
        event_id=random.randbytes(16).hex(),
        event_type="workflow-completed",
        name=webhook,
        project=f"acme/{project}",
        project_slug=slug_of(project),
        status="success",
        verified=verified,
        received_at=at,
        happened_at=at,
        changed_at=at,
    )


def make_delivery(project="orchard", webhook="one", *, at=None, outcome=Outcome.LOGGED, verified=True, **columns):
    """Store a delivery as if it had just arrived, with a new event if it was logged."""
    at = at or datetime.now(UTC)
    if outcome == Outcome.LOGGED and "event" not in columns:
        columns["event"] = make_event(project, webhook, at=at, verified=verified)
        columns["event"].save()
    defaults = {
        "received_at": at,
        "judged_at": at,
        "webhook": webhook,
        "secret_fingerprint": fingerprint(SECRET) if verified else "",
        "project_slug": slug_of(project) if verified else "",
        "plausible": False,
        "headers": {},
        "body": b"{}",
    }
    return Delivery.objects.create(outcome=outcome, verified=verified, **defaults | columns)


def source_of(project="orchard", webhook="one"):
    return Source.objects.get(webhook=webhook, project_slug=slug_of(project))


class SourceWatch:
    """The tasks of the watch that keep the sources current, with their leases."""

    def __init__(self, cursor=None):
        self.lease = FakeLease(cursor)
        self.reader, self.silence = SourceReader(), SilenceCheck()

    def read(self):
        """Read new deliveries, as the task `sources` does."""
        for _ in self.reader.check(self.lease):
            pass
        WatchTask.objects.update_or_create(name=SOURCES, defaults={"last_finished_at": datetime.now(UTC)})

    def judge(self):
        """Judge the quiet sources, as the task `silence` does."""
        for _ in self.silence.check(None):
            pass

    def check(self):
        self.read()
        self.judge()

    def restart(self):
        """Go on in another process."""
        self.__init__(self.lease.cursor)


def count_all():
    return [*refresh(), *backfill()]


def log_history(projects, *, per_hour=6, weeks=5):
    """Make a log of projects that sent as many events in each hour of the last weeks, as sums, and deliver one now."""
    now = datetime.now(UTC)
    hour = now.replace(minute=0, second=0, microsecond=0)
    HourlyLag.objects.bulk_create(
        (
            HourlyLag(
                hour=hour - age * HOUR, webhook="one", project_slug=slug_of(project), verified=True, count=per_hour
            )
            for project in projects
            for age in range(1, weeks * 7 * 24)
        ),
        batch_size=5_000,
    )
    for project in projects:
        make_event(project, at=now - min(weeks * WEEK, FIRST_READ)).save()
        make_delivery(project)
