"""Retention removes events, and their sums stay."""

from datetime import UTC, datetime, timedelta

import pytest

from logs.insights.counting import coverage, forget, refresh
from logs.models import HourlyStatus, WorkflowEvent
from tests.integration.rollup_history import HOUR, MINUTE, NOW, count_all, counted_hours, hours_ago, kept, log_run

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("webhook_secrets")]


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
