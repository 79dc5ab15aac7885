"""Complete days are added up from their hours, and say what the hours say."""

import random
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from logs.insights import workflows
from logs.insights.counting import sum_days
from logs.insights.days import missing_days, read_spans
from logs.insights.periods import period_of
from logs.insights.sums import drop_sums, recount
from logs.insights.workflows import read_workflows
from logs.models import DailyWorkflow, HourlyWorkflow, RollupState, SummedDay, Workflow
from logs.times import day_of, hour_of
from logs.watch.tasks import Counting
from tests.integration.rollup_history import HOUR, NOW, History, count_all, log_run

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
TODAY = day_of(NOW)
STATUSES = ["success"] * 6 + ["failed", "error", "canceled", "nonsense"]


@pytest.fixture
def two_weeks(clock):
    """Random sums of 40 workflows, all of them counted."""
    chance = random.Random(7)
    some = Workflow.objects.bulk_create(
        Workflow(project_slug=f"gh/acme/project-{number % 4}", name=f"workflow-{number}") for number in range(40)
    )
    HourlyWorkflow.objects.bulk_create(
        HourlyWorkflow(
            hour=hour_of(NOW) - hours * HOUR,
            workflow=some[chance.randrange(40)],
            status=chance.choice(STATUSES),
            duration_bucket=chance.choice([None, 70, 80, 81, 95]),
            seconds=chance.randrange(1_000),
            count=chance.randrange(1, 5),
        )
        for hours in range(16 * 24)
        for _ in range(5)
    )
    RollupState.objects.create(counted_from=NOW - 30 * DAY, counted_until=NOW, complete_until=NOW)


def shown(period, of=None):
    """Return what the dashboard shows; sums of floats may differ in their last digits."""
    found = read_workflows(period, of)
    slowest = [(each.workflow, each.runs, round(each.mean_seconds, 6)) for each in found.slowest]
    return found.busiest, found.has_more, slowest


@pytest.mark.parametrize("name", ["24h", "7d"])
@pytest.mark.parametrize("hours", [0, 5, 13, 20])
def test_figures_do_not_depend_on_which_days_are_summed(two_weeks, clock, name, hours):
    clock.shift(hours * HOUR)
    period = period_of(name, datetime.now(UTC))
    project = Workflow.objects.filter(project_slug="gh/acme/project-1")
    wanted = [shown(period), shown(period, project)]
    list(sum_days())
    assert SummedDay.objects.count() == 15
    assert [shown(period), shown(period, project)] == wanted
    SummedDay.objects.filter(began_at__in=[TODAY - number * DAY for number in (2, 5, 9)]).delete()
    assert [shown(period), shown(period, project)] == wanted


def test_a_week_is_read_from_its_days(two_weeks):
    list(sum_days())
    period = period_of("7d", NOW)
    with CaptureQueriesContext(connection) as captured:
        read_workflows(period)
    assert len(captured) == 9
    (span,) = read_spans((period.since, period.until))
    assert len(span.days) == 6
    assert HourlyWorkflow.objects.filter(span.hours).count() < 2 * 24 * 5


def test_a_day_that_is_counted_again_while_it_is_read_is_read_by_its_hours(two_weeks, monkeypatch):
    period = period_of("7d", NOW)
    wanted = shown(period)
    list(sum_days())

    def read_and_count(*bounds):
        spans = read_spans(*bounds)
        SummedDay.objects.all().delete()
        return spans

    monkeypatch.setattr(workflows, "read_spans", read_and_count)
    assert shown(period) == wanted


def test_counting_an_hour_again_removes_its_day_and_the_watch_sums_it_again(clock):
    for days in range(4):
        log_run(days, days * DAY)
    count_all()
    list(sum_days())
    yesterday = TODAY - DAY
    assert SummedDay.objects.filter(began_at=yesterday).exists()
    recount(hour_of(NOW - DAY))
    assert not SummedDay.objects.filter(began_at=yesterday).exists()
    assert SummedDay.objects.filter(began_at=yesterday - DAY).exists()
    list(Counting().run(None))
    assert SummedDay.objects.filter(began_at=yesterday).exists()


def test_dropping_hours_removes_their_days(two_weeks):
    list(sum_days())
    drop_sums(since=TODAY - 3 * DAY + HOUR, until=TODAY - 2 * DAY + HOUR)
    gone = {TODAY - 3 * DAY, TODAY - 2 * DAY}
    assert not gone & set(SummedDay.objects.values_list("began_at", flat=True))


def test_the_command_sums_the_days(clock, capsys):
    log_run(1, 2 * DAY)
    log_run(2, 4 * DAY)
    call_command("rollup")
    assert DailyWorkflow.objects.get().day.began_at == TODAY - 2 * DAY


def test_days_are_summed_once_they_are_over_and_all_their_hours_are_counted(clock):
    assert missing_days(TODAY - 3 * DAY, NOW) == [TODAY - number * DAY for number in (1, 2, 3)]
    assert missing_days(TODAY - 3 * DAY + HOUR, NOW) == [TODAY - number * DAY for number in (1, 2)]
    assert missing_days(TODAY, NOW) == []
    assert len(missing_days(NOW - 90 * DAY, NOW)) == 15


def test_old_days_are_dropped(two_weeks, clock):
    list(sum_days())
    clock.shift(3 * DAY)
    list(sum_days())
    assert SummedDay.objects.order_by("began_at").first().began_at >= TODAY + 3 * DAY - 17 * DAY
    assert SummedDay.objects.count() <= 17


@pytest.mark.parametrize("seed", range(6))
def test_whatever_happens_a_summed_day_holds_the_sums_of_its_hours(clock, webhook_secrets, seed):
    history = History(seed, clock)
    for _ in range(40):
        history.go_on()
        if history.chance.random() < 0.3:
            list(sum_days())
        assert in_days() == in_hours()


def in_days():
    """Return the runs and their durations in the summed days."""
    return {
        (each.day.began_at, each.workflow_id): (each.runs, each.timed, round(each.seconds, 3))
        for each in DailyWorkflow.objects.select_related("day")
    }


def in_hours():
    """Return the same from the hours of these days."""
    days = set(SummedDay.objects.values_list("began_at", flat=True))
    sums = defaultdict(Counter)
    for each in HourlyWorkflow.objects.all():
        if day_of(each.hour) in days:
            is_timed = each.duration_bucket is not None and each.status in (
                "success",
                "failed",
                "error",
                "unauthorized",
            )
            found = sums[day_of(each.hour), each.workflow_id]
            found.update(runs=each.count, timed=is_timed * each.count, seconds=is_timed * each.seconds)
    return {key: (each["runs"], each["timed"], round(each["seconds"], 3)) for key, each in sums.items()}
