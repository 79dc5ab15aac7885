"""The watch finds jobs and workflows that both failed and succeeded on one commit."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from logs.models import Flake, Source, WorkflowEvent
from logs.standings import flakes, overlapping
from logs.standings.flakes import STORED_FOR, FlakeFinder
from logs.watch.leases import LeaseLost
from logs.watch.tasks import all_tasks
from tests.integration.standings_log import DAY, HOUR, SECOND, FakeLease
from tests.plans import analyze, assert_reads_little

pytestmark = pytest.mark.django_db

SLUG, SHA = "github/orchard/press", "0123456789abcdef0123456789abcdef01234567"
JOB, WORKFLOW = "job-completed", "workflow-completed"


class Finder:
    """A finder with its lease."""

    def __init__(self, cursor=None):
        self.lease = FakeLease(cursor)
        self.finder = FlakeFinder()
        self.check()

    def check(self):
        for _ in self.finder.check(self.lease):
            pass

    def restart(self):
        self.finder = FlakeFinder()


@pytest.fixture
def finder(clock, monkeypatch):
    """A finder that has checked an empty log."""
    # The clock that is moved does not move time.monotonic().
    monkeypatch.setattr(overlapping, "time", SimpleNamespace(monotonic=lambda: datetime.now(UTC).timestamp()))
    return Finder()


def log(status, event_id=None, *, ago=timedelta(0), **overrides):
    """Write an event of a job, or its newer version."""
    event_id = event_id or f"event-{WorkflowEvent.objects.count()}"
    values = {
        "event_type": JOB if overrides.get("job", "test") else WORKFLOW,
        "project": "press",
        "project_slug": SLUG,
        "workflow": "build",
        "job": "test",
        "branch": "main",
        "revision": SHA,
        "status": status,
        "received_at": timezone.now() - ago,
        "changed_at": timezone.now(),
        "verified": True,
    }
    event, _ = WorkflowEvent.objects.update_or_create(event_id=event_id, defaults=values | overrides)
    return event


def found():
    """Return the flakes as (workflow, job, failures)."""
    return sorted(Flake.objects.values_list("workflow", "job", "failures"))


RED, GREEN = {"status": "failed"}, {"status": "success"}
UNSIGNED, OTHER_COMMIT = {"verified": False}, {"revision": "f" * 40}
TEST = ("build", "test", 1)


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        pytest.param([RED, GREEN], [TEST], id="rerun from failed"),
        pytest.param([RED, RED, GREEN, RED], [("build", "test", 3)], id="rerun several times"),
        pytest.param([GREEN, RED], [TEST], id="failed after it had succeeded"),
        pytest.param([RED | {"status": "timedout"}, GREEN], [TEST], id="another bad status"),
        pytest.param([RED, RED], [], id="failed each time"),
        pytest.param([GREEN, GREEN], [], id="succeeded each time"),
        pytest.param([RED | {"job": ""}, GREEN | {"job": ""}], [("build", "", 1)], id="the workflow itself"),
        pytest.param([RED, GREEN | {"job": ""}], [], id="a workflow that succeeded is not its job"),
        pytest.param([RED, GREEN | {"event_type": WORKFLOW}], [], id="a workflow's event that names a job"),
        pytest.param([RED, GREEN | {"workflow": "nightly"}], [], id="the job of another workflow"),
        pytest.param([RED, GREEN | {"job": "lint"}], [], id="another job"),
        pytest.param([RED, GREEN | {"project_slug": "github/orchard/other"}], [], id="another project"),
        pytest.param([RED, {"status": "canceled"}, {"status": "on_hold"}, {"status": "new word"}], [], id="unfinished"),
        pytest.param([RED, GREEN | OTHER_COMMIT], [], id="another commit"),
        pytest.param([RED | {"revision": ""}, GREEN | {"revision": ""}], [], id="without a commit"),
        pytest.param([RED | {"project_slug": ""}, GREEN | {"project_slug": ""}], [], id="without a project"),
        pytest.param([RED, GREEN | {"branch": "release"}], [TEST], id="the same commit on another branch"),
        pytest.param([RED, GREEN | UNSIGNED], [], id="an unsigned success"),
        pytest.param([GREEN, RED | UNSIGNED], [], id="an unsigned failure"),
        pytest.param([RED | UNSIGNED, GREEN | UNSIGNED], [TEST], id="all unsigned"),
        pytest.param([RED | UNSIGNED, GREEN | UNSIGNED, GREEN], [], id="signed later"),
        pytest.param([RED | UNSIGNED | {"origin": "api"}, GREEN], [TEST], id="read from the API"),
    ],
)
@pytest.mark.parametrize("together", [True, False], ids=["in one check", "in a check each"])
def test_a_flake_is_a_job_that_failed_and_succeeded_on_one_commit(finder, clock, events, expected, together):
    for event in events:
        clock.shift(SECOND)
        log(**event)
        if not together:
            finder.check()
    finder.check()
    assert found() == expected


def test_a_flake_refers_to_its_last_runs(finder, clock):
    first, ours = timezone.now(), []
    for status in ("failed", "success", "failed", "success"):
        ours.append(log(status, branch=f"branch-{len(ours)}"))
        finder.check()
        clock.shift(HOUR)
    flake = Flake.objects.get()
    assert (flake.failed, flake.succeeded, flake.branch, flake.project) == (ours[2], ours[3], "branch-3", "press")
    assert (flake.first_failed_at, flake.seen_at, flake.noted_at) == (first, first + 3 * HOUR, first + HOUR)


def test_runs_that_arrive_out_of_order_make_the_same_flake(finder):
    late = log("success", ago=HOUR)
    finder.check()
    early = log("failed", ago=2 * HOUR)
    finder.check()
    flake = Flake.objects.get()
    assert (flake.failed, flake.succeeded, flake.seen_at) == (early, late, late.received_at)


@pytest.mark.parametrize(("status", "expected"), [("success", []), ("canceled", []), ("infrastructure_fail", [TEST])])
def test_a_newer_version_of_an_event_counts(finder, clock, status, expected):
    log("failed", "one")
    log("success", "two")
    finder.check()
    assert found() == [TEST]
    clock.shift(SECOND)
    log(status, "one")
    finder.check()
    assert found() == expected


def test_a_newer_version_that_names_another_job_counts_there(finder, clock):
    log("failed", "one")
    log("success", "two")
    log("success", "three", job="lint")
    finder.check()
    clock.shift(SECOND)
    log("failed", "one", job="lint")
    finder.check()
    assert found() == [("build", "lint", 1)]


@pytest.mark.parametrize("deleted", ["failed", "success"])
def test_a_run_that_retention_deleted_still_counts(finder, clock, deleted):
    for status in ("failed", "failed", "success"):
        log(status)
    finder.check()
    WorkflowEvent.objects.filter(status=deleted).delete()
    clock.shift(SECOND)
    newest = log("success" if deleted == "failed" else "failed", "new")
    finder.check()
    flake = Flake.objects.get()
    assert flake.failures == (2 if deleted == "failed" else 3)
    assert newest.pk in (flake.failed_id, flake.succeeded_id)
    assert flake.seen_at == newest.received_at


def test_a_flake_whose_runs_retention_deleted_stays(finder, clock):
    log("failed")
    log("success")
    finder.check()
    WorkflowEvent.objects.all().delete()
    clock.shift(SECOND)
    log("success", "other", job="lint")
    finder.check()
    assert found() == [TEST]


def test_unsigned_runs_do_not_replace_signed_ones_that_retention_deleted(finder, clock):
    log("failed")
    log("success")
    finder.check()
    WorkflowEvent.objects.all().delete()
    clock.shift(SECOND)
    for event_id, status in (("a", "failed"), ("b", "failed"), ("c", "success")):
        log(status, event_id, verified=False)
    finder.check()
    flake = Flake.objects.get()
    assert (flake.is_proven, flake.failures) == (True, 1)


def test_unsigned_runs_that_retention_deleted_do_not_count_beside_signed_ones(finder, clock):
    for status in ("failed", "success"):
        log(status, verified=False)
    finder.check()
    WorkflowEvent.objects.all().delete()
    clock.shift(SECOND)
    log("failed", "signed")
    finder.check()
    assert found() == []


def test_unsigned_runs_make_no_flake_of_a_project_that_a_signed_webhook_reports(finder):
    Source.objects.create(webhook="Orchard", project_slug=SLUG)
    for slug in (SLUG, "github/orchard/unsigned"):
        for status in ("failed", "success"):
            log(status, project_slug=slug, verified=False)
    finder.check()
    assert list(Flake.objects.values_list("project_slug", flat=True)) == ["github/orchard/unsigned"]


def test_a_check_writes_only_what_changed(finder, clock):
    log("failed")
    log("success")
    finder.check()
    clock.shift(SECOND)
    log("success", "other", job="lint")
    with CaptureQueriesContext(connection) as captured:
        finder.check()
    assert [query["sql"] for query in captured if not query["sql"].startswith("SELECT")] == []


def test_goes_on_in_another_process(finder, clock):
    log("failed")
    finder.check()
    finder.restart()
    clock.shift(HOUR)
    log("success")
    finder.check()
    assert found() == [TEST]


def test_the_first_check_reads_the_last_two_weeks(clock, monkeypatch):
    monkeypatch.setattr(overlapping, "SLICE", DAY)
    for days, name in ((15, "old"), (13, "recent")):
        written = {"revision": f"{days:040}", "job": name, "changed_at": timezone.now() - days * DAY}
        for status in ("failed", "success"):
            log(status, f"{name} {status}", ago=days * DAY, **written)
    Finder()
    assert found() == [("build", "recent", 1)]


def test_a_revision_that_is_no_hash_is_left_out(finder):
    for status in ("failed", "success"):
        log(status, revision="\u00fc" * 255)  # With three other texts, too long for PostgreSQL's index.
    finder.check()
    assert found() == []


def test_the_first_check_goes_on_after_an_interruption(clock, monkeypatch):
    monkeypatch.setattr(flakes, "BATCH_SIZE", 1)
    for number in range(5):
        for status in ("failed", "success"):
            log(status, revision=f"{number:040}", changed_at=timezone.now() - number * HOUR)
    lease = FakeLease()
    steps = FlakeFinder().check(lease)
    while not found():
        next(steps)
    Finder(lease.cursor)
    assert len(found()) == 5


def test_a_commit_with_very_many_events_costs_a_bounded_number_of_rows(finder, clock, monkeypatch):
    monkeypatch.setattr(flakes, "MOST_READ", 20)
    rows = flakes._rows  # noqa: SLF001 - it has no order, and PostgreSQL might return any 20 rows
    monkeypatch.setattr(flakes, "_rows", lambda revision: rows(revision).order_by("pk"))
    for number in range(50):
        log("success", job=f"job-{number}")
    finder.check()
    clock.shift(SECOND)
    log("failed", job="job-5")
    log("failed", "one", job="new")
    log("success", "two", job="new")
    analyze()
    with CaptureQueriesContext(connection) as captured:
        finder.check()
    assert found() == [("build", "job-5", 1), ("build", "new", 1)]
    reads = [query["sql"] for query in captured if 'FROM "logs_workflowevent"' in query["sql"]]
    assert len(reads) == 3  # What was written, the commit's events, and those written that were not among them.
    assert "LIMIT 20" in reads[1]
    for _ in range(3):
        clock.shift(SECOND)
        log("failed", job="new")
        finder.check()
    assert Flake.objects.get(job="new").failures >= 1


def test_a_commit_is_read_from_its_index(finder, clock):
    WorkflowEvent.objects.bulk_create(
        WorkflowEvent(
            event_id=f"other-{number}",
            event_type=JOB,
            project_slug=SLUG,
            job="test",
            revision=f"{number:040x}",
            received_at=timezone.now() - DAY,
            changed_at=timezone.now() - DAY,
            verified=True,
        )
        for number in range(2_000)
    )
    for status in ("failed", "success"):
        log(status, revision="0ead" * 10)  # Of no other test, whose deleted rows PostgreSQL would read too.
    analyze()
    with CaptureQueriesContext(connection) as captured:
        finder.check()
    written, commit = (query["sql"] for query in captured if 'FROM "logs_workflowevent"' in query["sql"])
    (known,) = (query["sql"] for query in captured if 'FROM "logs_flake"' in query["sql"])
    assert_reads_little(written, "event_changed", is_range=True, most=100)
    assert_reads_little(commit, "event_revision", is_range=True, most=100)
    assert_reads_little(known, "flake_unique|sqlite_autoindex_logs_flake_1", is_range=True, most=100)


def test_flakes_without_a_run_for_two_weeks_are_dropped(finder, clock):
    log("failed")
    log("success")
    finder.check()
    clock.shift(STORED_FOR)
    tasks = {task.name: task for task in all_tasks()}
    list(tasks["forget"].run(FakeLease()))
    assert found() == [TEST]
    clock.shift(SECOND)
    list(tasks["forget"].run(FakeLease()))
    assert found() == []


def test_a_process_that_has_lost_its_lease_writes_nothing(finder, monkeypatch):
    def renew():
        raise LeaseLost("another process has claimed the task")

    monkeypatch.setattr(finder.lease, "renew", renew)
    log("failed")
    log("success")
    with pytest.raises(LeaseLost):
        finder.check()
    assert found() == []
