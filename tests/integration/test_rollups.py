"""The rollups say what a full recount says, whatever was written in between, in whatever order."""

import itertools
import json
import random
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from logs.circleci import samples
from logs.ingest.replay import replay
from logs.insights.counting import backfill, coverage, forget, hours_to_count, is_stale, refresh
from logs.models import Delivery, HourlyStatus, RollupState, Workflow, WorkflowEvent
from logs.models.events import SETTLED_AFTER
from tests.conftest import SECRET, WEBHOOK
from tests.integration.rollup_history import (
    HOUR,
    MINUTE,
    NOW,
    ROLLUPS,
    SECOND,
    History,
    count_all,
    counted_in_python,
    hour_of,
    hours_ago,
    kept,
    log_run,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("webhook_secrets")]


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


def test_what_was_committed_a_minute_after_it_was_written_is_found_all_the_same(clock):
    log_run("in-time", 5 * HOUR, pk=10)
    count_all()
    log_run("late", changed_at=NOW - SETTLED_AFTER, pk=9)  # A transaction takes its key before it ends, too.
    assert len(list(refresh())) == 1


# Clocks that were set back, and clocks that differ.


@pytest.mark.parametrize("seed", range(25))
def test_after_any_history_with_clocks_set_back_the_rollups_say_what_a_full_recount_says(clock, seed):
    history = History(seed, clock, sets_clock_back=True)
    for _ in range(history.chance.choice([20, 60])):
        history.go_on()
    count_all()
    assert kept() == counted_in_python()


@pytest.mark.parametrize("earlier", [SETTLED_AFTER + SECOND, 3 * HOUR])
def test_counts_what_was_written_at_any_earlier_time(clock, earlier):
    count_all()
    log_run("out-of-order", changed_at=NOW - earlier)
    assert len(list(refresh())) == 1


def test_counts_what_is_written_twice_in_the_same_minutes(clock):
    """The clock is set back by five minutes between two counts, and is past the first one's end by the second."""
    log_run("before", 2 * HOUR)
    count_all()
    clock.shift(-5 * MINUTE)
    log_run("after")
    clock.shift(30 * MINUTE)
    assert [counted.events for counted in refresh()] == [1]
    assert coverage()[1] == NOW + 25 * MINUTE


def test_counts_what_a_host_with_a_slow_clock_writes(clock):
    for number in range(3):
        clock.shift(MINUTE)
        count_all()
        log_run(number, changed_at=datetime.now(UTC) - 10 * MINUTE)
        assert [counted.events for counted in refresh()] == [number + 1]


@pytest.mark.parametrize("is_replay", [False, True])
def test_counts_a_newer_version_that_was_written_after_the_clock_was_set_back(
    clock, deliver, webhook_secrets, is_replay
):
    document = samples.workflow_completed(random=random.Random(1), status="canceled", happened_at=NOW)
    deliver(document)
    if is_replay:
        deliver(newer(document), secret="another")
    count_all()
    clock.shift(-5 * MINUTE)
    if is_replay:
        webhook_secrets[WEBHOOK] = [SECRET, "another"]
        assert replay(Delivery.objects.latest("pk").pk, actor="somebody").verdict.outcome == "updated"
    else:
        deliver(newer(document))
    clock.shift(30 * MINUTE)
    count_all()
    assert kept() == counted_in_python()
    assert HourlyStatus.objects.get().status == "failed"


def newer(document):
    later = (NOW + SECOND).isoformat()
    return document | {"happened_at": later, "workflow": document["workflow"] | {"status": "failed"}}


def test_is_stale_after_the_clock_was_set_back(clock):
    count_all()
    clock.shift(-MINUTE)
    assert not is_stale()  # As far apart as the clocks of two hosts may be.
    clock.shift(-SECOND)
    assert is_stale()


def test_a_count_by_an_earlier_version_is_gone_on_with(clock):
    log_run("counted")
    count_all()
    RollupState.objects.update(last_event=None, last_delivery=None, last_attempt=None)
    log_run("new")
    assert [counted.events for counted in refresh()] == [2]
    assert RollupState.objects.get().last_event == WorkflowEvent.objects.latest("pk").pk


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


def test_a_workflow_bears_the_name_that_its_project_had_last(clock):
    log_run("old", received_at=NOW - 5 * HOUR, project="orchard", project_slug="gh/acme/orchard")
    count_all()
    log_run("new", received_at=NOW, project="garden", project_slug="gh/acme/orchard")
    list(refresh())
    assert [workflow.project for workflow in Workflow.objects.all()] == ["garden"]
    log_run("late", received_at=NOW - 6 * HOUR, project="orchard", project_slug="gh/acme/orchard")
    assert hour_of(NOW) - 6 * HOUR in [counted.began_at for counted in refresh()]
    forget()
    count_all()
    assert [workflow.project for workflow in Workflow.objects.all()] == ["garden"]


def test_a_project_that_was_renamed_within_an_hour_bears_its_last_name(clock):
    log_run("old", 2 * MINUTE, project="orchard")
    log_run("new", MINUTE, project="garden")
    list(refresh())
    assert [workflow.project for workflow in Workflow.objects.all()] == ["garden"]
    assert kept() == counted_in_python()


def test_a_workflow_of_which_nothing_is_counted_any_longer_goes(clock):
    log_run("gone", 2 * HOUR, workflow="gone")
    log_run("kept", 2 * HOUR)
    count_all()
    WorkflowEvent.objects.filter(event_id="run-gone").delete()
    forget()
    count_all()
    assert [workflow.name for workflow in Workflow.objects.all()] == ["build"]


def test_what_nobody_signed_is_counted_apart_from_what_was_signed(clock):
    log_run("signed")
    log_run("unsigned", verified=False)
    count_all()
    assert sorted(verified for _, _, _, verified, _ in kept()[3]) == [False, True]
    assert kept() == counted_in_python()


def test_hours_are_those_of_utc_whatever_the_zone_of_who_is_looking(clock, settings):
    settings.TIME_ZONE = "Asia/Kolkata"
    count_all()
    clock.shift(HOUR)
    log_run("new")
    assert [counted.began_at for counted in refresh()] == [hour_of(NOW) + HOUR]


def test_a_hostile_name_is_counted_like_any_other(clock, deliver, workflow_document):
    document = workflow_document(project="<script>", workflow="'; DROP TABLE logs_workflowevent; --" + "x" * 9_000)
    document["happened_at"] = "0001-01-01T00:00:00Z"
    assert deliver(json.loads(json.dumps(document))).status_code == 201
    count_all()
    assert kept() == counted_in_python()


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
    log_many(1, NOW - 2 * HOUR)
    count_all()
    log_many(3, NOW - 2 * HOUR, first=1)
    few = statements_of(refresh())
    assert len(few) <= 28
    log_many(2_000, NOW - 2 * HOUR, first=4)
    assert len(statements_of(refresh())) == len(few)
    for age in (10, 11, 12):
        log_many(5, NOW - age * HOUR)
    RollupState.objects.update(counted_from=hour_of(NOW) - 3 * HOUR)
    some = statements_of(backfill())
    for age in (13, 14, 15):
        log_many(1_000, NOW - age * HOUR)
    assert len(statements_of(backfill())) == len(some)


def test_workflows_of_renamed_projects_cost_no_query_each(clock):
    def log_hour(workflows, project):
        for number in range(workflows):
            slug = f"gh/acme/{workflows}-{number}"
            log_run(
                f"{project}-{slug}",
                project=project,
                project_slug=slug,
                branch="topic",
                workflow=f"w{number}",
                received_at=datetime.now(UTC),
                changed_at=datetime.now(UTC),
            )
        return len(statements_of(refresh()))

    costs = []
    for workflows in (1, 9):
        log_hour(workflows, "orchard")
        clock.shift(2 * HOUR)
        costs.append(log_hour(workflows, "garden"))
        clock.shift(2 * HOUR)
    assert set(Workflow.objects.values_list("project", flat=True)) == {"garden"}
    assert costs[0] == costs[1]


def test_every_payload_stays_unread(clock):
    log_run("new")
    assert [sql for sql in statements_of(refresh()) if "body" in sql] == []
