"""Counting reads the events of the counted hour only."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from logs.insights.counting import backfill, refresh
from logs.models import RollupState, WorkflowEvent
from logs.times import hour_of
from tests.plans import assert_reads_little, vacuum

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
        vacuum()
        yield
        WorkflowEvent.objects.all().delete()


def _runs():
    """Make many runs of two workflows, and of other projects."""
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


def test_a_refresh_reads_what_was_written_and_the_hours_that_it_belongs_to():
    RollupState.objects.create(counted_from=hour_of(NOW), counted_until=NOW - 5 * MINUTE, complete_until=NOW)
    due, *sums = reads_of(lambda: list(refresh()))
    assert_reads_little(due, "event_changed", is_range=True)
    assert len(sums) == 4
    for sql in sums:
        assert_reads_little(sql, "event_newest", is_range=True)


def test_going_back_reads_the_next_hour_from_its_place():
    RollupState.objects.create(counted_from=hour_of(NOW) - 100 * 60 * MINUTE, counted_until=NOW, complete_until=NOW)
    steps = backfill()
    next(steps)
    reads = reads_of(lambda: next(steps))
    assert len(reads) == 5
    for sql in reads:
        assert_reads_little(sql, "event_newest", is_range=True)


@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="SQLite plans a statement before it knows its values")
def test_sqlite_takes_the_index_of_runs_also_where_the_type_is_a_parameter():
    rows = WorkflowEvent.objects.filter(**{name: COLUMNS[name] for name in ("event_type", "project_slug")})
    sql, values = rows.filter(workflow="build", branch="main").newest_first().values("pk").query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {sql}", values)
        assert "event_workflow_runs" in str(cursor.fetchall())
