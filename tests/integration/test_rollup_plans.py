"""Counting costs what the counted hour holds, and how a branch stands a few entries of an index."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from logs.insights.counting import backfill, refresh
from logs.insights.standings import update_standings
from logs.insights.sums import hour_of
from logs.models import RollupState, Standing, WorkflowEvent
from tests.plans import analyze, assert_reads_little

pytestmark = pytest.mark.django_db

RUNS = 20_000
NOW = datetime(2026, 5, 4, 10, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
COLUMNS = {
    "event_type": "workflow-completed",
    "project": "orchard",
    "project_slug": "gh/acme/orchard",
    "verified": True,
}


@pytest.fixture(scope="module")
def django_db_setup(django_db_setup, django_db_blocker):
    """Fill the log once for all tests of this module, and let the database count what it holds."""
    with django_db_blocker.unblock():
        WorkflowEvent.objects.bulk_create(_runs(), batch_size=2_000)
        analyze()
        yield
        WorkflowEvent.objects.all().delete()


def _runs():
    """Make many runs of a branch that fails now and then, many of one that has failed for long, and other projects'."""
    for number in range(RUNS):
        moment = NOW - number * MINUTE
        nightly, elsewhere = number % 5 == 0, number % 5 == 1
        yield WorkflowEvent(
            event_id=f"run-{number}",
            workflow="nightly" if nightly else "build",
            branch="shed" if elsewhere else "main",
            status="failed" if (nightly and number < RUNS * 0.9) or number % 30 < 3 else "success",
            received_at=moment,
            happened_at=moment,
            changed_at=moment,
            **COLUMNS | ({"project_slug": f"gh/acme/shed-{number}"} if elsewhere else {}),
        )


@pytest.fixture(autouse=True)
def clock():
    with time_machine.travel(NOW, tick=False) as clock:
        yield clock


def reads_of(call):
    """Return the statements that read events."""
    with CaptureQueriesContext(connection) as captured:
        call()
    return [query["sql"] for query in captured if 'FROM "logs_workflowevent"' in query["sql"]]


def standing_probes(statements):
    return [sql for sql in statements if '"logs_workflowevent"."workflow" = \'' in sql]


def test_how_a_branch_of_many_runs_stands_takes_a_few_entries_of_one_index():
    newest = WorkflowEvent.objects.create(
        event_id="new", workflow="build", branch="main", status="failed", received_at=NOW, changed_at=NOW, **COLUMNS
    )
    probes = standing_probes(reads_of(lambda: update_standings(WorkflowEvent.objects.filter(pk=newest.pk))))
    assert len(probes) == 3
    for sql in probes:
        assert_reads_little(sql, "event_workflow_runs", most=10)


def test_of_a_branch_that_has_failed_for_long_only_the_last_run_is_read():
    first = WorkflowEvent.objects.filter(workflow="nightly").earliest("received_at")
    known = Standing.objects.create(
        project_slug="gh/acme/orchard", workflow="nightly", branch="main", last=first, broken_since=first
    )
    newest = WorkflowEvent.objects.create(
        event_id="new", workflow="nightly", branch="main", status="failed", received_at=NOW, changed_at=NOW, **COLUMNS
    )
    probes = standing_probes(reads_of(lambda: update_standings(WorkflowEvent.objects.filter(pk=newest.pk))))
    assert len(probes) == 1
    for sql in probes:
        assert_reads_little(sql, "event_workflow_runs", most=10)
    known.refresh_from_db()
    assert (known.last, known.broken_since) == (newest, first)


def test_a_refresh_reads_what_was_written_and_the_hours_that_it_belongs_to():
    RollupState.objects.create(counted_from=hour_of(NOW), counted_until=NOW - 5 * MINUTE, complete_until=NOW)
    due, *of_hour = reads_of(lambda: list(refresh()))
    assert_reads_little(due, "event_changed", is_range=True)
    sums = [sql for sql in of_hour if sql not in standing_probes(of_hour)]
    assert len(sums) == 5
    for sql in sums:
        index = "event_(changed|branch_newest)" if '"changed_at" >=' in sql else "event_newest"
        assert_reads_little(sql, index, is_range=True)


def test_going_back_reads_the_next_hour_from_its_place():
    RollupState.objects.create(counted_from=hour_of(NOW) - 100 * 60 * MINUTE, counted_until=NOW, complete_until=NOW)
    steps = backfill()
    next(steps)
    reads = reads_of(lambda: next(steps))
    assert standing_probes(reads) == []
    assert len(reads) == 6
    for sql in reads:
        if "EXISTS" not in sql:  # It reads the standings too.
            assert_reads_little(sql, "event_newest", is_range=True)


@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="SQLite plans a statement before it knows its values")
def test_sqlite_takes_the_index_of_runs_also_where_the_type_is_a_parameter():
    rows = WorkflowEvent.objects.filter(**{name: COLUMNS[name] for name in ("event_type", "project_slug")})
    sql, values = rows.filter(workflow="build", branch="main").newest_first().values("pk").query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {sql}", values)
        assert "event_workflow_runs" in str(cursor.fetchall())
