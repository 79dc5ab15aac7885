"""The watch runs each task in one process at a time, and no error of a task ends it."""

from contextlib import suppress
from datetime import UTC, datetime, time, timedelta
from itertools import groupby
from threading import Event
from types import SimpleNamespace

import pytest
from django.db import OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext

from logs.insights import counting
from logs.insights.counters import read_delivery_counters, read_event_counters
from logs.insights.watching import read_watch
from logs.models import HourlyStatus, Standing, WatchTask
from logs.models.watch import LEASE
from logs.retention import rules
from logs.watch import leases, loop, tasks
from logs.watch.leases import Lease, LeaseLost, Process
from logs.watch.loop import Job, run
from logs.watch.tasks import Task, all_tasks
from tests.integration.source_log import make_event
from tests.integration.standings_log import DAY, HOUR, MINUTE, SECOND, log_run, noted

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("webhook_secrets")]


@pytest.fixture(autouse=True)
def monotonic_clock(clock, monkeypatch):
    """Let time.monotonic() follow the clock that a test moves."""
    monkeypatch.setattr(leases.time, "monotonic", lambda: datetime.now(UTC).timestamp())
    # The connection holds the test's transaction.
    monkeypatch.setattr(connection, "close_if_unusable_or_obsolete", lambda: None)


def steps_of(*results):
    """Return a task's function that gives these results at its runs; an exception is raised."""
    remaining = iter(results)

    def start(lease):
        result = next(remaining, None)
        if isinstance(result, Exception):
            raise result
        yield result

    return start


def run_rounds(jobs, count, clock):
    for _ in range(count):
        for job in jobs:
            while job.advance():
                pass
        clock.shift(SECOND)


# Leases.


def test_one_of_two_processes_has_the_lease():
    one, other = Lease("follow"), Lease("follow")
    assert (one.hold(), other.hold()) == (True, False)
    assert (one.hold(), other.hold()) == (True, False)


def test_a_lease_lasts_as_long_as_it_is_renewed(clock):
    one, other = Lease("follow"), Lease("follow")
    for _ in range(100):
        assert (one.hold(), other.hold()) == (True, False)
        clock.shift(SECOND)


def test_the_lease_of_a_process_that_was_killed_goes_to_another(clock):
    one, other = Lease("follow"), Lease("follow")
    assert one.hold()
    one.cursor = {"read": 7}
    one.renew()
    clock.shift(LEASE + SECOND)
    assert other.hold()
    assert other.cursor == {"read": 7}


def test_a_lease_that_is_given_back_is_free_immediately():
    one, other = Lease("follow"), Lease("follow")
    assert one.hold()
    one.release()
    assert other.hold()


def test_a_claim_by_a_clock_that_was_far_ahead_is_free(clock):
    clock.shift(6 * HOUR)
    assert Lease("follow").hold()
    clock.shift(-6 * HOUR)
    assert not read_watch().is_running
    assert Lease("follow").hold()
    assert read_watch().is_running


def test_a_lease_is_renewed_although_every_transaction_fails(clock):
    def write(lease):
        with transaction.atomic():
            lease.renew()
            raise ValueError("no such colour")
        yield

    run_rounds([Job(Task(name="broken", run=write, interval=SECOND))], 300, clock)
    assert read_watch().is_running


def test_a_process_that_was_suspended_notices_that_it_lost_its_lease(clock):
    one, other = Lease("follow"), Lease("follow")
    assert one.hold()
    clock.shift(LEASE + SECOND)
    assert other.hold()
    with pytest.raises(LeaseLost):
        one.renew()
    assert not one.hold()


def test_a_clock_that_is_thirty_seconds_ahead_takes_a_lease_once(clock):
    one, other = Lease("follow"), Lease("follow")
    claims = []
    for _ in range(120):
        for lease, ahead in ((one, 0), (other, 30)):
            clock.shift(ahead * SECOND)
            with suppress(LeaseLost):
                lease.hold()
            claims.append(WatchTask.objects.get().claim)
            clock.shift(-ahead * SECOND)
        clock.shift(SECOND)
    assert len(list(groupby(claims))) == 2


# Tasks.


def lease_of(*, started=None, finished=None):
    return SimpleNamespace(started_at=started, finished_at=finished)


@pytest.mark.parametrize(
    ("finished", "is_due"),
    [("2026-05-03T02:59", True), ("2026-05-03T03:01", True), ("2026-05-04T03:00", False)],
)
def test_a_daily_task_is_due_once_after_its_time(finished, is_due):
    task = Task(name="prune", run=steps_of(), at=time(3, 0))
    lease = lease_of(finished=datetime.fromisoformat(f"{finished}:00+00:00"))
    assert task.is_due(lease, datetime(2026, 5, 4, 10, tzinfo=UTC)) is is_due


def test_a_daily_task_waits_for_its_time():
    task = Task(name="prune", run=steps_of(), at=time(23, 0))
    lease = lease_of(finished=datetime(2026, 5, 3, 23, 5, tzinfo=UTC))
    assert not task.is_due(lease, datetime(2026, 5, 4, 10, tzinfo=UTC))
    assert task.is_due(lease, datetime(2026, 5, 4, 23, tzinfo=UTC))


def test_a_daily_task_that_was_interrupted_starts_again(clock):
    task = Task(name="prune", run=steps_of(1, 2), at=time(10, 31))
    job = Job(task)
    run_rounds([job], 1, clock)
    clock.shift(MINUTE)
    assert job.advance()
    job.release()
    clock.shift(5 * HOUR)
    assert Job(task).advance()


def test_a_task_is_due_although_the_clock_was_set_back():
    now = datetime.now(UTC)
    lease = lease_of(started=now + DAY, finished=now + DAY)
    for task in (Task(name="a", run=steps_of(), interval=MINUTE), Task(name="b", run=steps_of(), at=time(0, 0))):
        assert task.is_due(lease, now)


def test_retention_runs_only_at_the_time_that_is_set(settings, clock):
    assert "prune" not in [task.name for task in all_tasks()]
    settings.PRUNE_AT, settings.EVENT_RETENTION_DAYS, settings.DELIVERY_RETENTION_DAYS = time(11, 0), 30, 30
    jobs = [Job(task) for task in all_tasks() if task.name == "prune"]
    log_run(1)
    clock.shift(40 * DAY - HOUR)
    run_rounds(jobs, 2, clock)
    assert all(rule.rows.exists() for rule in rules() if rule.setting != "DELIVERY_RETENTION_COUNT")
    clock.shift(2 * HOUR)
    run_rounds(jobs, 2, clock)
    assert not any(rule.rows.exists() for rule in rules())


def test_counts_events_for_the_dashboard(clock):
    jobs = [Job(task) for task in all_tasks()]
    log_run(1, "failed")
    run_rounds(jobs, 1, clock)
    assert HourlyStatus.objects.get().count == 1


def test_completes_a_recount_that_was_interrupted_although_nothing_arrives(clock):
    log_run(1, "failed")
    clock.shift(5 * HOUR)
    jobs = [Job(task) for task in all_tasks()]
    run_rounds(jobs, 2, clock)
    counting.forget()
    HourlyStatus.objects.all().delete()
    run_rounds(jobs, 62, clock)
    assert HourlyStatus.objects.get().count == 1


def test_another_count_at_the_same_time_is_no_error(monkeypatch, clock):
    def count_elsewhere():
        raise tasks.CountedElsewhere
        yield

    monkeypatch.setattr(tasks, "refresh", count_elsewhere)
    jobs = [Job(task) for task in all_tasks()]
    run_rounds(jobs, 2, clock)
    assert read_watch().errors == {}


# The loop.


def test_a_task_that_fails_does_not_stop_the_others_and_is_repeated(clock, caplog):
    broken = Job(Task(name="broken", run=steps_of(ValueError("no such colour"), None), interval=5 * SECOND))
    sound = Job(Task(name="sound", run=steps_of(*range(10)), interval=SECOND))
    run_rounds([broken, sound], 2, clock)
    assert read_watch().errors == {"broken": "ValueError: no such colour"}
    assert sound.lease.finished_at is not None
    assert "the task broken failed" in caplog.text
    run_rounds([broken, sound], 12, clock)
    assert read_watch().errors == {}


def test_a_daily_task_that_fails_is_repeated_after_a_minute(clock):
    job = Job(Task(name="daily", run=steps_of(ValueError("no such colour"), None), at=time(10, 31)))
    run_rounds([job], 62, clock)
    assert read_watch().errors == {"daily": "ValueError: no such colour"}
    run_rounds([job], 62, clock)
    assert read_watch().errors == {}


def test_a_failure_that_lasts_is_logged_once(clock, caplog):
    job = Job(Task(name="broken", run=steps_of(*[ValueError("no such colour")] * 5), interval=SECOND))
    run_rounds([job], 5, clock)
    assert caplog.text.count("the task broken failed") == 1


def test_a_database_error_is_shown_without_its_text_which_may_name_hosts(clock, caplog):
    job = Job(Task(name="broken", run=steps_of(OperationalError("host db-1 is away")), interval=SECOND))
    run_rounds([job], 2, clock)
    assert read_watch().errors == {"broken": "OperationalError"}
    assert "Traceback" not in caplog.text


@pytest.mark.django_db(transaction=True)
def test_a_database_that_is_away_stops_nothing(clock, monkeypatch):
    jobs = [Job(task) for task in all_tasks()]
    run_rounds(jobs, 2, clock)
    log_run(1, "failed")
    with monkeypatch.context() as away:
        away.setattr(connection, "cursor", _fail)
        run_rounds(jobs, 60, clock)
    clock.shift(LEASE)
    run_rounds(jobs, 3, clock)
    assert noted() == [("broke", 1, "")]
    assert Standing.objects.count() == 1
    assert read_watch().errors == {}


def _fail(*args, **options):
    raise OperationalError("the server is away")


def test_an_idle_watch_runs_at_most_two_statements_a_second(clock):
    process = Process()
    jobs = [Job(task, process) for task in all_tasks()]
    run_rounds(jobs, 5, clock)
    with CaptureQueriesContext(connection) as captured:
        run_rounds(jobs, 600, clock)
    statements = [query for query in captured if not query["sql"].startswith(("SAVEPOINT", "RELEASE"))]
    assert len(statements) / 600 <= 2


def test_stops_after_the_current_step_and_gives_its_leases_back(monkeypatch, settings):
    stopping, beats = Event(), []

    def beat():
        beats.append(1)
        if len(beats) == 3:
            stopping.set()

    settings.PRUNE_AT = time(3, 0)
    run(beat=beat, stopping=stopping)
    assert len(beats) == 3
    assert Lease("follow").hold()


def test_beats_after_the_leases_are_given_back_while_a_task_stops(monkeypatch):
    stopping, calls = Event(), []

    def stop(beat):
        calls.append(Lease("slow").hold() and Lease("other").hold())
        beat()

    def beat():
        calls.append("beat")
        stopping.set()

    tasks = [Task(name="slow", run=lambda _: iter([1]), stop=stop), Task(name="other", run=lambda _: iter([1]))]
    monkeypatch.setattr(loop, "all_tasks", lambda: tasks)
    run(beat=beat, stopping=stopping)
    assert calls == ["beat", True, "beat"]


def test_beats_while_a_task_has_many_steps(monkeypatch):
    stopping, beats = Event(), []

    def endless(lease):
        while True:
            yield

    def beat():
        beats.append(1)
        if len(beats) == 1_000:
            stopping.set()

    monkeypatch.setattr(loop, "all_tasks", lambda: [Task(name="endless", run=endless, interval=SECOND)])
    run(beat=beat, stopping=stopping)
    assert len(beats) == 1_000


# The state of the watch.


def test_a_watch_that_never_ran_is_not_running():
    state = read_watch()
    assert (state.is_running, state.last_started_at, state.errors) == (False, None, {})


@pytest.mark.parametrize(("seconds", "is_running"), [(115, True), (125, False)])
def test_a_watch_without_a_sign_of_life_for_two_minutes_is_not_running(clock, seconds, is_running):
    Job(Task(name="follow", run=steps_of(None), interval=SECOND)).advance()
    assert read_watch().is_running
    clock.shift(timedelta(seconds=seconds))
    assert read_watch().is_running is is_running
    assert WatchTask.objects.count() == 1


def test_new_deliveries_are_counted_within_seconds_and_events_of_replays_within_minutes(clock):
    jobs = [Job(task) for task in all_tasks() if task.name in ("sources", "counters")]
    run_rounds(jobs, 2, clock)
    log_run(1)
    run_rounds(jobs, 12, clock)
    assert read_delivery_counters()["logged"] == 1
    make_event().save()
    run_rounds(jobs, 12, clock)
    assert sum(read_event_counters().values()) == 1
    run_rounds(jobs, 600, clock)
    assert sum(read_event_counters().values()) == 2
