"""Lags are counted per project; after an upgrade, hours that an older release counted are recounted."""

from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from logs.insights.counting import count_again
from logs.insights.periods import period_of
from logs.insights.webhooks import read_webhooks
from logs.models import HourlyLag, HourlyWorkflow, WorkflowEvent
from logs.watch import tasks
from tests.integration.rollup_history import HOUR, count_all, counted_in_python, hours_ago, kept, log_run
from tests.plans import plan_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("webhook_secrets")]

DAY = timedelta(days=1)


def sums():
    return set(HourlyLag.objects.values_list("webhook", "verified", "project_slug", "count"))


def count_as_an_older_release(*ages):
    """Count some hours, and leave them as a release without sums per project did."""
    for number, age in enumerate(ages):
        log_run(f"{number} a", age)
        log_run(f"{number} b", age, project_slug="gh/acme/harbour")
    count_all()
    HourlyLag.objects.update(project_slug=None)


def hours_without_projects():
    return sorted(set(HourlyLag.objects.filter(project_slug=None).values_list("hour", flat=True)), reverse=True)


def test_signed_events_count_for_their_project_and_unsigned_events_for_none(clock):
    log_run(1)
    log_run(2)
    log_run(3, project_slug="gh/acme/harbour")
    log_run(4, verified=False)
    log_run(5, verified=False, project_slug="gh/stranger/invented")
    count_all()
    assert sums() == {
        ("one", True, "gh/acme/orchard", 2),
        ("one", True, "gh/acme/harbour", 1),
        ("one", False, "", 2),
    }


def test_hours_of_an_older_release_are_recounted_newest_first(clock):
    count_as_an_older_release(0 * HOUR, 5 * HOUR, 28 * DAY)
    assert [counted.began_at for counted in islice(count_again(), 2)] == hours_ago(0, 5)
    assert hours_without_projects() == hours_ago(28 * 24)
    assert [counted.began_at for counted in count_again()] == hours_ago(28 * 24)
    assert kept() == counted_in_python()


def test_hours_before_the_last_91_days_stay_without_projects(clock):
    count_as_an_older_release(92 * DAY)
    assert list(count_again()) == []
    assert hours_without_projects() == hours_ago(92 * 24)


def test_hours_without_default_branches_are_recounted_too(clock):
    log_run(1)
    count_all()
    HourlyWorkflow.objects.update(on_default_branch=None)
    assert [counted.began_at for counted in count_again()] == hours_ago(0)
    assert kept() == counted_in_python()


def test_an_hour_whose_events_retention_has_deleted_stays_without_projects(clock, settings):
    count_as_an_older_release(HOUR, 3 * DAY)
    settings.EVENT_RETENTION_DAYS = 2
    WorkflowEvent.objects.filter(event_id__startswith="run-1").delete()
    assert [counted.began_at for counted in count_again()] == hours_ago(1)
    assert hours_without_projects() == hours_ago(72)


def test_the_watch_recounts_once(clock, monkeypatch):
    monkeypatch.setattr(tasks.time, "monotonic", lambda: datetime.now(UTC).timestamp())
    counting = tasks.Counting()
    count_as_an_older_release(HOUR)
    list(counting.run(None))
    assert hours_without_projects() == []
    HourlyLag.objects.update(project_slug=None)
    clock.shift(HOUR)
    list(counting.run(None))
    assert hours_without_projects() == hours_ago(1)


@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="PostgreSQL weighs what the tables hold")
def test_sqlite_sums_the_figures_of_all_projects_without_sorting_them(clock):
    with CaptureQueriesContext(connection) as captured:
        read_webhooks(period_of("7d", datetime.now(UTC)))
    (sql,) = [query["sql"] for query in captured if "logs_hourlylag" in query["sql"]]
    assert "USING COVERING INDEX hourly_lag_figures" in plan_of(sql)
    assert "TEMP B-TREE" not in plan_of(sql)
