"""The rollups say what a full recount says, whatever was written in between, in whatever order."""

import itertools
import json
import math
import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from threading import Event as Flag

import pytest
import time_machine
from django.db import OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext

from logs.circleci import samples
from logs.circleci.vocabulary import STATUS_TONES, Tone
from logs.exceptions import SignatureRefused
from logs.ingest.pipeline import Arrival, authenticate, keep_refused, record
from logs.ingest.replay import replay
from logs.insights import counting
from logs.insights.buckets import GROWTH
from logs.insights.counting import (
    CountedElsewhere,
    backfill,
    coverage,
    forget,
    hours_to_count,
    is_stale,
    refresh,
    refresh_if_stale,
    with_pauses,
)
from logs.models import Delivery, HourlyLag, HourlyStatus, HourlyWorkflow, RollupState, Standing, WorkflowEvent

pytestmark = pytest.mark.django_db

SECRET = "a-secret-of-the-tests"
NOW = datetime(2026, 5, 4, 10, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
ROLLUPS = (HourlyStatus, HourlyWorkflow, HourlyLag, Standing)


@pytest.fixture(autouse=True)
def webhook(webhook_secrets):
    return webhook_secrets


@pytest.fixture
def clock():
    with time_machine.travel(NOW, tick=False) as clock:
        yield clock


# What the log holds, counted in Python.


def hour_of(moment):
    return moment.replace(minute=0, second=0, microsecond=0)


def bucket_of(seconds):
    return None if seconds is None else math.floor(math.log(max(seconds, 0) + 1) / math.log(GROWTH))


def lag_of(event):
    return None if event.happened_at is None else (event.received_at - event.happened_at).total_seconds()


def counted_in_python():
    """Return the sums of all events, and how the default branches stand."""
    events = list(WorkflowEvent.objects.order_by("received_at", "pk"))
    runs = [event for event in events if event.event_type == "workflow-completed"]
    statuses = Counter((hour_of(one.received_at), one.event_type, one.status) for one in events)
    lags = Counter((hour_of(one.received_at), one.name, bucket_of(lag_of(one))) for one in events)
    workflows, seconds, standings = Counter(), Counter(), {}
    for run in runs:
        key = (hour_of(run.received_at), run.project_slug, run.project, run.workflow, run.status)
        key += (bucket_of(run.duration_seconds),)
        workflows[key] += 1
        seconds[key] += run.duration_seconds or 0
        tone = STATUS_TONES.get(run.status)
        if run.branch in ("main", "master") and tone in (Tone.GOOD, Tone.BAD):
            branch = (run.project_slug, run.workflow, run.branch)
            _, _, broken_since = standings.get(branch, (None, None, None))
            standings[branch] = (run.project, run.pk, None if tone is Tone.GOOD else broken_since or run.pk)
    return (
        dict(statuses),
        dict(workflows),
        {key: round(each, 3) for key, each in seconds.items()},
        dict(lags),
        standings,
    )


def kept():
    """Return what the rollups hold, in the same form; a row that stands twice is an error."""
    statuses = [((one.hour, one.event_type, one.status), one.count) for one in HourlyStatus.objects.all()]
    workflows, seconds = [], []
    for one in HourlyWorkflow.objects.all():
        key = (one.hour, one.project_slug, one.project, one.workflow, one.status, one.duration_bucket)
        workflows.append((key, one.count))
        seconds.append((key, round(one.seconds, 3)))
    lags = [((one.hour, one.webhook, one.lag_bucket), one.count) for one in HourlyLag.objects.all()]
    standings = [
        ((one.project_slug, one.workflow, one.branch), (one.project, one.last_id, one.broken_since_id))
        for one in Standing.objects.all()
    ]
    tables = (statuses, workflows, seconds, lags, standings)
    assert all(len(dict(table)) == len(table) for table in tables)
    return tuple(map(dict, tables))


def count_all():
    return [*refresh(), *backfill()]


# Histories.

STATUSES = ["success", "success", "failed", "failed", "error", "unauthorized", "canceled", "nonsense"]


class History:
    """What may befall a log, in the order of chance."""

    def __init__(self, seed, clock):
        self.chance, self.clock = random.Random(seed), clock
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
        return samples.workflow_completed(
            random=random.Random(0),
            status=self.chance.choice(STATUSES),
            happened_at=self.past(-SECOND, SECOND, 10 * MINUTE, 2 * HOUR),
            duration_seconds=self.chance.uniform(0, 1_000),
            **run,
        )

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

    def begun_anew(self):
        forget()


@pytest.mark.parametrize("seed", range(25))
def test_after_any_history_the_rollups_say_what_a_full_recount_says(clock, seed):
    history = History(seed, clock)
    for _ in range(history.chance.choice([5, 20, 60])):
        history.go_on()
    count_all()
    expected = counted_in_python()
    assert kept() == expected
    forget()
    for model in ROLLUPS:
        model.objects.all().delete()
    count_all()
    assert kept() == expected


# Single steps.


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


def test_the_first_time_the_current_hour_is_counted_at_once_and_all_of_it_and_older_ones_by_going_back(clock):
    log_run("old-version", changed_at=None)
    log_run("current")
    for age in (1, 3):
        log_run(age, age * HOUR, changed_at=None)
    assert coverage() is None
    assert [(counted.began_at, counted.events) for counted in refresh()] == [(hour_of(NOW), 2)]
    assert coverage() == (hour_of(NOW) + HOUR, NOW)
    assert hours_to_count() == 4
    assert [counted.began_at for counted in backfill()] == hours_ago(0, 1, 3)
    assert coverage() == (*hours_ago(3), NOW)
    assert kept() == counted_in_python()


def test_only_hours_that_were_written_to_are_counted_again(clock):
    for age in (0, 1, 2, 3):
        log_run(age, age * HOUR)
    count_all()
    clock.shift(2 * HOUR)
    count_all()
    WorkflowEvent.objects.filter(event_id="run-2").update(status="failed", changed_at=datetime.now(UTC))
    assert [counted.began_at for counted in refresh()] == hours_ago(2)
    assert coverage()[1] == datetime.now(UTC)
    assert kept() == counted_in_python()


@pytest.mark.parametrize(("delay", "found"), [(counting.MARGIN, 1), (counting.MARGIN + SECOND, 0)])
def test_what_was_committed_a_minute_after_it_was_written_is_found_all_the_same(clock, delay, found):
    count_all()
    log_run("late", changed_at=NOW - delay)
    assert len(list(refresh())) == found


def test_a_refresh_that_stops_early_leaves_the_rest_to_the_next_one(clock):
    count_all()
    for number, age in enumerate([3, 5, 1, 4, 2]):
        log_run(age, age * HOUR, changed_at=NOW + number * 5 * MINUTE)
    clock.shift(5 * HOUR)
    assert [counted.began_at for counted in itertools.islice(refresh(), 2)] == hours_ago(3, 5)
    assert coverage()[1] < NOW + HOUR
    assert [counted.began_at for counted in refresh()] == hours_ago(1, 4, 2)
    assert kept() == counted_in_python()


def test_a_clock_that_was_ahead_does_not_stop_the_counting(clock):
    clock.shift(48 * HOUR)
    count_all()
    clock.move_to(NOW)
    log_run("now")
    assert len(list(refresh())) == 1
    assert coverage()[1] == NOW


def test_hours_are_those_of_utc_whatever_the_zone_of_who_is_looking(clock, settings):
    settings.TIME_ZONE = "Asia/Kolkata"
    count_all()
    clock.shift(HOUR)
    log_run("new")
    assert [counted.began_at for counted in refresh()] == [hour_of(NOW) + HOUR]


def test_going_back_may_stop_after_any_hour_and_go_on_later(clock):
    for age in range(8):
        log_run(age, age * HOUR)
    assert [counted.began_at for counted in itertools.islice(backfill(), 3)] == hours_ago(0, 1, 2)
    assert coverage()[0] == hours_ago(2)[0]
    assert hours_to_count() == 5
    assert [counted.began_at for counted in backfill()] == hours_ago(3, 4, 5, 6, 7)
    assert list(backfill()) == []
    assert kept() == counted_in_python()


def test_an_hour_that_could_not_be_counted_whole_is_not_counted_at_all(clock, monkeypatch):
    for age in range(3):
        log_run(age, age * HOUR)
    list(refresh())
    before = kept(), coverage()

    def break_off(events):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(counting, "add_standings", break_off)
        with pytest.raises(KeyboardInterrupt):
            next(backfill())
    assert (kept(), coverage()) == before
    count_all()
    assert kept() == counted_in_python()


def test_a_run_of_an_hour_not_yet_counted_changes_how_its_branch_stands(clock):
    log_run("broken", status="failed")
    list(refresh())
    log_run("before", 5 * HOUR, status="failed", changed_at=NOW)
    count_all()
    assert kept() == counted_in_python()
    assert Standing.objects.get().broken_since.event_id == "run-before"


def test_a_branch_that_was_mended_and_broke_again_is_broken_since_then(clock):
    log_run("broke", 3 * HOUR, status="failed")
    count_all()
    log_run("mended", 2 * MINUTE, changed_at=NOW)
    log_run("again", MINUTE, changed_at=NOW, status="failed")
    log_run("and again", changed_at=NOW, status="failed")
    list(refresh())
    assert Standing.objects.get().broken_since.event_id == "run-again"


def test_of_runs_that_arrived_in_one_moment_the_first_logged_is_the_first(clock):
    for number, status in enumerate(["failed", "success", "failed", "failed"]):
        log_run(number, status=status)
    count_all()
    assert Standing.objects.get().broken_since.event_id == "run-2"
    assert kept() == counted_in_python()


def test_counting_anew_replaces_what_does_not_hold_any_longer(clock, settings):
    for age in range(4):
        log_run(age, age * HOUR, branch="trunk" if age else "main")
    count_all()
    WorkflowEvent.objects.filter(event_id__in=["run-0", "run-2", "run-3"]).delete()
    settings.DEFAULT_BRANCHES = ["trunk"]
    forget()
    assert counted_hours() == hours_ago(0, 1, 2, 3)
    count_all()
    assert counted_hours() == hours_ago(1)
    assert [standing.branch for standing in Standing.objects.all()] == ["trunk"]
    assert coverage() == (hours_ago(1)[0], NOW)


def test_an_interrupted_count_anew_goes_on_with_the_next_run(clock):
    for age in range(4):
        log_run(age, age * HOUR)
    count_all()
    WorkflowEvent.objects.update(status="failed")
    forget()
    list(itertools.islice(backfill(), 1))
    assert kept() != counted_in_python()
    count_all()
    assert kept() == counted_in_python()


# Retention.


def test_sums_outlive_the_events_that_retention_removes(clock, settings):
    settings.EVENT_RETENTION_DAYS = 2
    for age in range(60):
        log_run(age, age * HOUR)
    count_all()
    before = kept()
    clock.shift(6 * HOUR)
    WorkflowEvent.objects.filter(received_at__lt=datetime.now(UTC) - timedelta(days=2)).delete()
    count_all()
    assert kept()[:4] == before[:4]
    forget()
    count_all()
    assert kept()[:4] == before[:4]
    assert coverage()[0] == hours_ago(59)[0]


def test_an_hour_that_retention_has_cut_is_not_counted_again_but_a_whole_one_is(clock, settings):
    settings.EVENT_RETENTION_DAYS = 1
    log_run("gone", 24 * HOUR + 10 * MINUTE)
    cut = log_run("cut", 24 * HOUR - 10 * MINUTE)
    whole = log_run("whole", 23 * HOUR - 10 * MINUTE)
    count_all()
    WorkflowEvent.objects.filter(event_id="run-gone").delete()
    WorkflowEvent.objects.filter(pk__in=[cut.pk, whole.pk]).update(status="failed", changed_at=NOW)
    list(refresh())
    found = HourlyStatus.objects.order_by("hour").values_list("hour", "status", "count")
    assert list(found) == [(hours_ago(24)[0], "success", 2), (hours_ago(23)[0], "failed", 1)]


def test_an_hour_that_retention_has_cut_is_counted_if_it_never_was(clock, settings):
    settings.EVENT_RETENTION_DAYS = 1
    log_run("cut", 24 * HOUR - 10 * MINUTE)
    count_all()
    assert counted_hours() == hours_ago(24)


def test_a_standing_whose_first_failure_is_gone_is_found_out_anew(clock):
    for age in (9, 8):
        log_run(age, age * HOUR, status="failed")
    count_all()
    WorkflowEvent.objects.filter(event_id="run-9").delete()
    log_run("new", status="failed")
    list(refresh())
    assert Standing.objects.get().broken_since.event_id == "run-8"


# Who else is counting, and pages.


@pytest.fixture
def held_elsewhere():
    """Count on another connection, in the midst of an hour."""
    if connection.vendor == "sqlite":
        pytest.skip("SQLite locks no single rows")
    count_all()
    is_held, is_over = Flag(), Flag()

    def hold():
        try:
            with transaction.atomic():
                RollupState.objects.select_for_update().get()
                is_held.set()
                is_over.wait(timeout=10)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as elsewhere:
        holder = elsewhere.submit(hold)
        assert is_held.wait(timeout=3)
        yield
        is_over.set()
        holder.result()


@pytest.mark.django_db(transaction=True)
def test_where_another_process_is_counting_nothing_is_done(held_elsewhere):
    before = coverage()
    log_run("new")
    for steps in (refresh(), backfill()):
        with pytest.raises(CountedElsewhere):
            next(steps)
    with time_machine.travel(datetime.now(UTC) + HOUR):
        refresh_if_stale()
    assert coverage() == before
    assert counted_hours() == []


@pytest.mark.django_db(transaction=True)
def test_of_two_that_begin_at_once_one_makes_the_state():
    with time_machine.travel(NOW, tick=True):
        log_run("new")

        def begin(_):
            try:
                return len(list(refresh()))
            except CountedElsewhere:
                return None
            finally:
                connection.close()

        with ThreadPoolExecutor(4) as threads:
            list(threads.map(begin, range(4)))
    assert RollupState.objects.count() == 1
    assert kept() == counted_in_python()


@pytest.mark.django_db(transaction=True)
def test_what_is_written_while_several_count_is_counted_in_the_end():
    is_over = Flag()

    def write(first):
        try:
            for number in range(first, first + 40):
                age = timedelta(hours=number % 7)
                document = samples.workflow_completed(
                    random=random.Random(number), status=STATUSES[number % 8], workflow_id=f"{number % 25}"
                )
                body = samples.encode(document)
                arrival = Arrival(
                    received_at=datetime.now(UTC) - age,
                    webhook_slug="",
                    headers=samples.headers(body, document, SECRET),
                    client_address=None,
                    body=body,
                )
                record(arrival, authenticate(arrival))
        finally:
            connection.close()

    def count(begin):
        try:
            while not is_over.is_set():
                begin()
                with suppress(CountedElsewhere):
                    list(with_pauses(itertools.chain(refresh(), backfill())))
                time.sleep(counting.PAUSE_SECONDS)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as threads:
        counters = [threads.submit(count, begin) for begin in (refresh_if_stale, forget)]
        writers = [threads.submit(write, first) for first in (0, 1_000)]
        try:
            for writer in writers:
                writer.result()
        finally:
            is_over.set()
        for counter in counters:
            counter.result()
    count_all()
    assert kept() == counted_in_python()


def test_a_run_stops_where_another_one_begins_anew(clock):
    for age in range(3):
        log_run(age, age * HOUR)
    steps = backfill()
    next(steps)
    forget()
    with pytest.raises(CountedElsewhere):
        next(steps)
    count_all()
    assert kept() == counted_in_python()


def test_a_page_counts_when_the_figures_are_older_than_a_minute(clock):
    assert is_stale()
    refresh_if_stale()
    assert not is_stale()
    log_run("new", changed_at=NOW + 30 * SECOND)
    clock.shift(MINUTE)
    refresh_if_stale()
    assert counted_hours() == []
    clock.shift(SECOND)
    assert is_stale()
    refresh_if_stale()
    assert counted_hours() == hours_ago(0)
    assert not is_stale()


def test_a_page_counts_a_bounded_number_of_hours(clock):
    count_all()
    for age in range(50):
        log_run(age, age * HOUR, changed_at=NOW + (60 - age) * SECOND)
    clock.shift(2 * HOUR)
    refresh_if_stale()
    assert len(counted_hours()) == counting.MAX_HOURS_OF_A_PAGE
    assert is_stale()
    while is_stale():
        refresh_if_stale()
    assert kept() == counted_in_python()


@pytest.mark.parametrize("broken", ["is_stale", "refresh"])
def test_a_page_goes_on_when_the_database_refuses(clock, monkeypatch, caplog, broken):
    def refuse(*_):
        raise OperationalError("database is locked")

    monkeypatch.setattr(counting, broken, refuse)
    refresh_if_stale()
    assert "could not be refreshed" in caplog.text


def test_pauses_let_a_waiting_writer_in(clock, monkeypatch):
    pauses = []
    monkeypatch.setattr(counting.time, "sleep", pauses.append)
    monkeypatch.setattr(counting, "WORK_SECONDS", 0)
    for age in range(4):
        log_run(age, age * HOUR)
    assert len(list(with_pauses(backfill()))) == 4
    assert len(pauses) == (4 if connection.vendor == "sqlite" else 0)
    # SQLite's writers try again every 100 ms at the latest.
    assert all(pause > 0.1 for pause in pauses)


# Cost.


def statements_of(steps):
    with CaptureQueriesContext(connection) as captured:
        list(steps)
    return [query["sql"] for query in captured]


def log_many(count, hour, first=0):
    WorkflowEvent.objects.bulk_create(
        WorkflowEvent(
            event_id=f"many-{hour}-{number}",
            event_type="workflow-completed",
            project_slug="gh/acme/orchard",
            workflow="build",
            branch="main",
            status="success",
            received_at=hour + number * timedelta(milliseconds=100),
            changed_at=NOW,
            duration_seconds=60,
            verified=True,
        )
        for number in range(first, first + count)
    )


def test_an_hour_costs_a_fixed_number_of_queries_however_many_events_it_has(clock):
    count_all()
    log_many(3, NOW - 2 * HOUR)
    few = statements_of(refresh())
    assert len(few) <= 27
    log_many(2_000, NOW - 2 * HOUR, first=3)
    assert len(statements_of(refresh())) == len(few)
    for age in (10, 11, 12):
        log_many(5, NOW - age * HOUR)
    RollupState.objects.update(counted_from=hour_of(NOW) - 3 * HOUR)
    some = statements_of(backfill())
    for age in (13, 14, 15):
        log_many(1_000, NOW - age * HOUR)
    assert len(statements_of(backfill())) == len(some)


def test_every_payload_stays_unread(clock):
    log_run("new")
    assert [sql for sql in statements_of(refresh()) if "logs_delivery" in sql] == []


def test_a_hostile_name_is_counted_like_any_other(clock, deliver, workflow_document):
    document = workflow_document(project="<script>", workflow="'; DROP TABLE logs_workflowevent; --" + "x" * 9_000)
    document["happened_at"] = "0001-01-01T00:00:00Z"
    assert deliver(json.loads(json.dumps(document))).status_code == 201
    count_all()
    assert kept() == counted_in_python()
