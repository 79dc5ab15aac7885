"""The figures of /metrics are read from indexes, however long the log is."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from logs.http.exposition import metrics_text
from logs.insights.counters import count_new
from logs.insights.metrics import MAX_BRANCHES_READ
from logs.models import Alarm, Channel, Delivery, HourlyLag, HourlyWorkflow, Notification, Standing, Workflow
from tests.plans import assert_reads_little, vacuum

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 5, 4, 10, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
WORKFLOWS, HOURS, ROWS = 20, 24 * 20, 5_000
A_DAY = 24 * WORKFLOWS  # Sums of the last 24 hours.
# fmt: off
READS = [  # The table, how many statements read it, the index, and how many rows they read at most.
    ("logs_hourlyworkflow", 2, "hourly_workflow_(hour|workflow)", A_DAY),
    ("logs_hourlylag",      1, "hourly_lag_figures",              A_DAY),
    ("logs_standing",       2, "standing_(bad|last_run)",         MAX_BRANCHES_READ),
    ("logs_notification",   1, "notification_waiting",            0),
    ("logs_alarm",          1, "alarm_open_unique",               0),
]
# fmt: on


@pytest.fixture(scope="module")
def django_db_setup(django_db_setup, django_db_blocker):
    """Fill the log once for all tests of this module, and let the database count what it holds."""
    models = (Notification, Channel, Alarm, Standing, Delivery, HourlyLag, HourlyWorkflow, Workflow)
    with django_db_blocker.unblock():
        _fill()
        vacuum()
        yield
        for model in models:
            model.objects.all().delete()


def _fill():
    workflows = Workflow.objects.bulk_create(
        Workflow(project_slug=f"github/orchard/{number}", name="build") for number in range(WORKFLOWS)
    )
    hours = [NOW.replace(minute=0) - age * HOUR for age in range(HOURS)]
    HourlyWorkflow.objects.bulk_create(
        HourlyWorkflow(hour=hour, workflow=workflow, status="success", duration_bucket=9, seconds=9, count=1)
        for hour in hours
        for workflow in workflows
    )
    HourlyLag.objects.bulk_create(
        HourlyLag(hour=hour, webhook="one", verified=True, project_slug=str(number), lag_bucket=3, count=1)
        for hour in hours
        for number in range(WORKFLOWS)
    )
    Standing.objects.bulk_create(
        Standing(workflow=str(number), branch="main", tone="good", last_run_at=NOW - number * HOUR / 60)
        for number in range(ROWS)
    )
    channel = Channel.objects.create(name="chat", kind="slack")
    Notification.objects.bulk_create(
        Notification(channel=channel, kind="test", key=str(number), state="sent", expires_at=NOW)
        for number in range(ROWS)
    )
    Alarm.objects.bulk_create(
        Alarm(kind="silence", key=str(number), opened_at=NOW, closed_at=NOW) for number in range(ROWS)
    )
    Delivery.objects.bulk_create(
        Delivery(received_at=NOW, judged_at=NOW, outcome="ping", verified=True, plausible=True, headers={}, body=b"")
        for number in range(ROWS)
    )


def statements_of(call):
    with time_machine.travel(NOW, tick=False), CaptureQueriesContext(connection) as captured:
        call()
    return [query["sql"] for query in captured if query["sql"].startswith("SELECT")]


@pytest.mark.parametrize(("table", "count", "index", "most"), READS)
def test_each_figure_is_read_from_an_index(table, count, index, most):
    statements = [sql for sql in statements_of(metrics_text) if f'FROM "{table}"' in sql]
    assert len(statements) == count
    for sql in statements:
        assert_reads_little(sql, index, most=most)


def test_new_deliveries_are_read_by_their_keys():
    list(count_new())
    Delivery.objects.create(
        received_at=NOW, judged_at=NOW, outcome="ping", verified=True, plausible=True, headers={}, body=b""
    )
    statements = [sql for sql in statements_of(lambda: list(count_new())) if 'FROM "logs_delivery"' in sql]
    assert len(statements) == 3
    for sql in statements:
        assert_reads_little(sql, "INTEGER PRIMARY KEY", is_range=True, most=2)
