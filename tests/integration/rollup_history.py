"""Logs whose events are counted hour by hour: what may befall them, and what the rollups should say in the end."""

import itertools
import math
import random
from collections import Counter
from datetime import UTC, datetime, timedelta

from logs.circleci import samples
from logs.conf import is_default_branch
from logs.exceptions import SignatureRefused
from logs.ingest.pipeline import Arrival, authenticate, keep_refused, record
from logs.ingest.replay import replay
from logs.insights.buckets import GROWTH
from logs.insights.counting import backfill, forget, refresh, refresh_if_stale
from logs.models import Delivery, HourlyLag, HourlyStatus, HourlyWorkflow, Workflow, WorkflowEvent

SECRET = "a-secret-of-the-tests"
NOW = datetime(2026, 5, 4, 10, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
ROLLUPS = (HourlyStatus, HourlyWorkflow, Workflow, HourlyLag)
STATUSES = ["success", "success", "failed", "failed", "error", "unauthorized", "canceled", "nonsense"]


# What the log holds, counted in Python.


def hour_of(moment):
    return moment.replace(minute=0, second=0, microsecond=0)


def bucket_of(seconds):
    return None if seconds is None else math.floor(math.log(max(seconds, 0) + 1) / math.log(GROWTH))


def lag_of(event):
    return None if event.happened_at is None else (event.received_at - event.happened_at).total_seconds()


def source_of(event):
    return event.name, event.project_slug if event.verified else ""


def counted_in_python():
    """Return the sums of all events, and the name of each workflow's project."""
    events = list(WorkflowEvent.objects.order_by("received_at", "pk"))
    runs = [event for event in events if event.event_type == "workflow-completed"]
    statuses = Counter((hour_of(one.received_at), one.event_type, one.status) for one in events)
    lags = Counter((hour_of(one.received_at), *source_of(one), one.verified, bucket_of(lag_of(one))) for one in events)
    workflows, seconds = Counter(), Counter()
    for run in runs:
        key = (hour_of(run.received_at), run.project_slug, run.workflow, run.status)
        key += (is_default_branch(run.project_slug, run.branch), bucket_of(run.duration_seconds))
        workflows[key] += 1
        seconds[key] += run.duration_seconds or 0
    return (
        dict(statuses),
        dict(workflows),
        {key: round(each, 3) for key, each in seconds.items()},
        dict(lags),
        # Of names that arrived in one moment, one has to be taken.
        {
            (run.project_slug, run.workflow): run.project
            for run in sorted(runs, key=lambda run: (run.received_at, run.project))
        },
    )


def kept():
    """Return what the rollups hold, in the same form; a row that stands twice is an error."""
    statuses = [((one.hour, one.event_type, one.status), one.count) for one in HourlyStatus.objects.all()]
    workflows, seconds = [], []
    for one in HourlyWorkflow.objects.select_related("workflow"):
        key = (one.hour, one.workflow.project_slug, one.workflow.name, one.status)
        key += (one.on_default_branch, one.duration_bucket)
        workflows.append((key, one.count))
        seconds.append((key, round(one.seconds, 3)))
    lags = [
        ((one.hour, one.webhook, one.project_slug, one.verified, one.lag_bucket), one.count)
        for one in HourlyLag.objects.all()
    ]
    projects = [((one.project_slug, one.name), one.project) for one in Workflow.objects.all()]
    tables = (statuses, workflows, seconds, lags, projects)
    assert all(len(dict(table)) == len(table) for table in tables)
    return tuple(map(dict, tables))


def count_all():
    return [*refresh(), *backfill()]


# Histories.


class History:
    """What may befall a log, in the order of chance."""

    def __init__(self, seed, clock, *, sets_clock_back=False):
        self.chance, self.clock, self.sets_clock_back = random.Random(seed), clock, sets_clock_back
        self.runs = []
        self.refused = []

    def go_on(self):
        steps = {
            self.new_run: 10,
            self.new_job: 2,
            self.other_version: 6,
            self.refused_one: 2,
            self.replayed_one: 3,
            self.late_commit: 1,
            self.refreshed: 3,
            self.refreshed_in_part: 2,
            self.page_opened: 3,
            self.gone_back: 2,
            self.begun_anew: 1,
        }
        if self.sets_clock_back:
            steps[self.clock_set_back] = 6
        self.clock.shift(self.chance.choice([SECOND, 20 * SECOND, 5 * MINUTE, 25 * MINUTE, HOUR, 7 * HOUR]))
        self.chance.choices(list(steps), list(steps.values()))[0]()

    def past(self, *choices):
        return datetime.now(UTC) - self.chance.choice([timedelta(0), *choices])

    def arrival_of(self, document):
        body = samples.encode(document)
        late = self.chance.random() < 0.3
        return Arrival(
            received_at=self.past(MINUTE, HOUR, 5 * HOUR) if late else datetime.now(UTC),
            webhook_slug="",
            headers=samples.headers(body, document, SECRET),
            client_address=None,
            body=body,
        )

    def run_document(self, **run):
        document = samples.workflow_completed(
            random=random.Random(0),
            status=self.chance.choice(STATUSES),
            happened_at=self.past(-SECOND, SECOND, 10 * MINUTE, 2 * HOUR),
            duration_seconds=self.chance.uniform(0, 1_000),
            **run,
        )
        document["project"]["name"] += self.chance.choice(["", "", " II", " A"])  # Renamed; its slug stays.
        return document

    def log(self, document):
        arrival = self.arrival_of(document)
        record(arrival, authenticate(arrival))

    def new_run(self):
        run = {
            "workflow_id": f"workflow-{len(self.runs)}",
            "project": self.chance.choice(["orchard", "orchard", "harbour"]),
            "workflow": self.chance.choice(["build", "build", "build", "deploy"]),
            "branch": self.chance.choice(["main", "main", "main", "main", "master", "shed"]),
            "webhook_name": self.chance.choice(["one", "two"]),
        }
        self.runs.append(run)
        self.log(self.run_document(**run))

    def new_job(self):
        moment = self.past(MINUTE)
        self.log(samples.job_completed(random=self.chance, status="failed", happened_at=moment))

    def other_version(self):
        if self.runs:
            self.log(self.run_document(**self.chance.choice(self.runs)))

    def refused_one(self):
        run = {"workflow_id": f"refused-{len(self.refused)}", "workflow": "build"}
        keep_refused(self.arrival_of(self.run_document(**run)), SignatureRefused("its secret was wrong"))
        self.refused.append(Delivery.objects.latest("pk").pk)

    def replayed_one(self):
        deliveries = list(Delivery.objects.order_by("pk").values_list("pk", flat=True))
        if deliveries:
            replay(self.chance.choice(self.refused or deliveries), actor="somebody")

    def late_commit(self):
        """Write what others see only after a refresh that began later."""
        began_at = datetime.now(UTC)
        self.clock.shift(15 * SECOND)
        self.refreshed()
        ended_at = datetime.now(UTC)
        self.clock.move_to(began_at)
        self.new_run()
        self.clock.move_to(ended_at)

    def refreshed(self):
        list(refresh())

    def refreshed_in_part(self):
        list(itertools.islice(refresh(), self.chance.randrange(3)))

    def page_opened(self):
        refresh_if_stale()

    def gone_back(self):
        list(itertools.islice(backfill(), self.chance.randrange(4)))

    def clock_set_back(self):
        self.clock.shift(-self.chance.choice([90 * SECOND, 10 * MINUTE, 2 * HOUR]))

    def begun_anew(self):
        forget()


# Single events.


def log_run(number, age=timedelta(0), status="success", **columns):
    """Keep a run as if it had been written when it arrived."""
    moment = datetime.now(UTC) - age
    defaults = {
        "event_type": "workflow-completed",
        "project": "orchard",
        "project_slug": "gh/acme/orchard",
        "workflow": "build",
        "branch": "main",
        "duration_seconds": 60.0,
        "verified": True,
        "happened_at": moment - SECOND,
        "received_at": moment,
        "changed_at": moment,
        "name": "one",
    }
    return WorkflowEvent.objects.create(event_id=f"run-{number}", status=status, **defaults | columns)


def hours_ago(*ages):
    return [hour_of(NOW) - age * HOUR for age in ages]


def counted_hours():
    return sorted(set(HourlyStatus.objects.values_list("hour", flat=True)), reverse=True)
