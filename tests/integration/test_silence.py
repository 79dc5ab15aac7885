"""The watch finds the sources that are silent, by name, and those that are heard from again."""

from datetime import UTC, datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from logs.models import Delivery, HourlyLag, Source, SourceState, WatchTask, WorkflowEvent
from logs.standings import sources
from logs.standings.silence import SilenceCheck, find_too_quiet
from logs.watch import tasks
from tests.integration.source_log import (
    DAY,
    HOUR,
    MINUTE,
    SECRET,
    WEEK,
    SourceWatch,
    count_all,
    log_history,
    make_delivery,
    make_event,
    slug_of,
    source_of,
)
from tests.plans import analyze, assert_reads_little, plan_of

pytestmark = pytest.mark.django_db

NEW, UP, LATE, SILENT = SourceState.NEW, SourceState.UP, SourceState.LATE, SourceState.SILENT


@pytest.fixture(autouse=True)
def webhooks(settings):
    settings.CIRCLECI_WEBHOOK_SECRETS = {"one": SECRET, "open": None}
    return settings.CIRCLECI_WEBHOOK_SECRETS


def states():
    return {source.project_slug: source.state for source in Source.objects.exclude(project_slug="")}


def hourly_checks(watch, clock, hours, *, delivering=()):
    """Check every hour, in which some projects deliver; return the states after each."""
    found = []
    for _ in range(hours):
        clock.shift(HOUR)
        for project in delivering:
            make_delivery(project)
        watch.check()
        found.append(states())
    return found


def test_one_silent_project_among_twenty_is_found_by_name(clock):
    projects = [f"project-{number}" for number in range(20)]
    log_history(projects, per_hour=6)
    watch = SourceWatch()
    watch.check()
    assert set(states().values()) == {UP}
    broken, *others = projects
    found = hourly_checks(watch, clock, 3, delivering=others)
    assert [source.project for source in Source.objects.filter(state=SILENT)] == ["acme/project-0"]
    assert all(states()[slug_of(project)] == UP for project in others)
    assert found[0][slug_of(broken)] == UP
    # It stays silent until its next delivery.
    since = source_of(broken).state_since
    hourly_checks(watch, clock, 3, delivering=others)
    assert (source_of(broken).state, source_of(broken).state_since) == (SILENT, since)
    make_delivery(broken)
    watch.check()
    assert (source_of(broken).state, source_of(broken).state_since) == (UP, datetime.now(UTC))


def test_an_outage_on_a_tuesday_at_eleven_is_noticed_within_three_hours_and_ends_with_the_next_delivery(clock):
    tuesday = datetime(2026, 5, 5, tzinfo=UTC)
    arrivals = [
        tuesday - weeks * WEEK + hour * HOUR + minute * MINUTE
        for weeks in range(5)
        for hour in range(8, 18)
        for minute in range(0, 60, 10)
    ]
    outage = tuesday + 11 * HOUR
    WorkflowEvent.objects.bulk_create(make_event(at=at) for at in arrivals if at < outage - 10 * MINUTE)
    clock.move_to(outage - 10 * MINUTE)
    make_delivery()
    count_all()
    watch = SourceWatch()
    watch.check()
    assert [found[slug_of("orchard")] for found in hourly_checks(watch, clock, 3)] == [UP, LATE, SILENT]
    make_delivery()
    watch.check()
    assert states() == {slug_of("orchard"): UP}


def test_a_quieter_source_is_late_first_and_each_state_keeps_its_time(clock):
    log_history(["orchard"], per_hour=2)
    watch = SourceWatch()
    watch.check()
    found = [found[slug_of("orchard")] for found in hourly_checks(watch, clock, 6)]
    assert found == [UP, UP, LATE, LATE, SILENT, SILENT]
    assert source_of("orchard").state_since == datetime.now(UTC) - HOUR


def test_without_four_weeks_of_history_a_source_stays_new(clock):
    log_history(["orchard"], weeks=3)
    watch = SourceWatch()
    watch.check()
    assert hourly_checks(watch, clock, 10)[-1] == {slug_of("orchard"): NEW}


def test_hours_without_sums_per_project_count_as_missing_history(clock):
    log_history(["orchard"])
    HourlyLag.objects.update(project_slug=None)
    watch = SourceWatch()
    watch.check()
    assert hourly_checks(watch, clock, 5)[-1] == {slug_of("orchard"): UP}
    HourlyLag.objects.update(project_slug=slug_of("orchard"))
    assert hourly_checks(watch, clock, 1)[-1] == {slug_of("orchard"): SILENT}


def test_muting_does_not_change_states(clock):
    log_history(["orchard"])
    watch = SourceWatch()
    watch.check()
    Source.objects.update(muted_until=datetime.now(UTC) + 7 * DAY)
    assert hourly_checks(watch, clock, 3)[-1] == {slug_of("orchard"): SILENT}


def test_unsigned_webhooks_are_never_silent(clock):
    log_history(["orchard"])
    HourlyLag.objects.update(webhook="open", project_slug="", verified=False)
    make_delivery("orchard", "open", at=datetime.now(UTC) - 28 * DAY, verified=False)
    make_delivery("orchard", "open", verified=False)
    watch = SourceWatch()
    watch.check()
    hourly_checks(watch, clock, 5)
    assert [source.state for source in Source.objects.filter(webhook="open")] == [NEW]


def test_projects_of_webhooks_that_are_no_longer_configured_are_not_judged(clock, webhooks):
    log_history(["orchard"])
    watch = SourceWatch()
    watch.check()
    del webhooks["one"]
    assert hourly_checks(watch, clock, 5)[-1] == {slug_of("orchard"): UP}


def test_nothing_is_silent_before_the_deliveries_of_a_break_of_the_watch_are_read(clock):
    log_history(["orchard"])
    watch = SourceWatch()
    watch.check()
    for _ in range(5):
        clock.shift(HOUR)
        make_delivery("orchard")
    watch.judge()
    assert states() == {slug_of("orchard"): UP}
    watch.check()
    assert states() == {slug_of("orchard"): UP}


def test_nothing_is_silent_while_a_backlog_is_read(clock, monkeypatch):
    """After an upgrade or a long break, with the silence check between all steps, for some minutes."""
    monkeypatch.setattr(sources, "BATCH_SIZE", 3)
    monkeypatch.setattr(sources.time, "monotonic", lambda: datetime.now(UTC).timestamp())
    log_history(["orchard"])
    Delivery.objects.update(received_at=datetime.now(UTC) - 12 * HOUR)
    watch, found = SourceWatch(), set()
    watch.judge()
    for break_hours in (12, 12):
        for hour in range(break_hours):
            make_delivery("orchard", at=datetime.now(UTC) - (break_hours - hour) * HOUR)
        for _ in range(4):
            make_delivery("orchard")
            for _ in watch.reader.check(watch.lease):
                list(SilenceCheck().check(None))
                found |= set(states().values())
            watch.check()
            found |= set(states().values())
            clock.shift(MINUTE)
        clock.shift(12 * HOUR)
    assert found == {UP}


def test_a_new_source_without_further_deliveries_stays_new(clock):
    log_history(["orchard"], per_hour=1, weeks=3)
    HourlyLag.objects.all().delete()
    watch = SourceWatch()
    watch.check()
    clock.shift(8 * DAY)
    watch.check()
    assert states() == {slug_of("orchard"): NEW}
    make_delivery("orchard")
    watch.check()
    assert states() == {slug_of("orchard"): UP}


def test_a_new_source_can_become_silent(clock):
    log_history(["orchard"], weeks=5)
    watch = SourceWatch()
    watch.check()
    Source.objects.exclude(project_slug="").update(state=NEW)
    assert hourly_checks(watch, clock, 3)[-1] == {slug_of("orchard"): SILENT}


def test_nothing_is_judged_if_no_delivery_was_ever_read(clock):
    log_history(["orchard"])
    SourceWatch().check()
    clock.shift(5 * HOUR)
    for finished_at in (None, datetime.now(UTC) - 5 * HOUR):
        WatchTask.objects.update(last_finished_at=finished_at)
        SourceWatch().judge()
        assert states() == {slug_of("orchard"): UP}


def test_a_delivery_that_is_read_meanwhile_wins(clock, monkeypatch):
    log_history(["orchard"])
    watch = SourceWatch()
    watch.check()
    clock.shift(3 * HOUR)
    watch.read()
    quiet = source_of("orchard")
    make_delivery("orchard")
    watch.read()
    monkeypatch.setattr("logs.standings.silence._quiet_sources", lambda _: [quiet])
    watch.judge()
    assert states() == {slug_of("orchard"): UP}


def test_the_tasks_of_the_watch_find_silence(clock):
    log_history(["orchard"])
    by_name = {task.name: task for task in tasks.all_tasks()}
    watch = SourceWatch()
    watch.check()
    clock.shift(3 * HOUR)
    watch.read()
    list(by_name["silence"].run(watch.lease))
    assert states() == {slug_of("orchard"): SILENT}
    make_delivery("orchard")
    list(by_name["sources"].run(watch.lease))
    assert states() == {slug_of("orchard"): UP}


# What it costs.


def test_each_source_is_judged_once_an_hour_in_batches_of_fifty(clock):
    log_history([f"project-{number}" for number in range(60)], weeks=1)
    WorkflowEvent.objects.update(received_at=datetime.now(UTC) - 28 * DAY)
    watch = SourceWatch()
    watch.check()
    clock.shift(HOUR + MINUTE)
    watch.read()
    with CaptureQueriesContext(connection) as captured:
        watch.judge()
    assert len([query for query in captured if "logs_hourlylag" in query["sql"]]) == 2
    clock.shift(MINUTE)
    watch.read()
    with CaptureQueriesContext(connection) as captured:
        watch.judge()
    assert len(captured) == 2  # The end of the last read, and the quiet sources.


@pytest.fixture
def many_sums():
    """The sums of fifty projects in five weeks."""
    first = datetime(2026, 4, 1, tzinfo=UTC)
    HourlyLag.objects.bulk_create(
        (
            HourlyLag(
                hour=first + hour * HOUR,
                webhook="one",
                verified=True,
                project_slug=slug_of(f"project-{number}"),
                lag_bucket=3,
                count=2,
            )
            for number in range(50)
            for hour in range(5 * 7 * 24)
        ),
        batch_size=5_000,
    )
    analyze()


def test_a_batch_reads_only_the_hours_of_its_stretches(clock, many_sums):
    now = datetime.now(UTC)
    Source.objects.bulk_create(
        Source(
            webhook="one",
            project_slug=slug_of(f"project-{number}"),
            state=UP,
            first_event_at=now - 35 * DAY,
            last_delivery_at=now - 2 * HOUR,
        )
        for number in range(50)
    )
    WatchTask.objects.create(name="sources", last_finished_at=now)
    with CaptureQueriesContext(connection) as captured:
        SourceWatch().judge()
    (sql,) = [query["sql"] for query in captured if 'FROM "logs_hourlylag"' in query["sql"]]
    # Three hours in each of four weeks, for each source: 600 of 42,000 sums.
    assert_reads_little(sql, "hourly_lag_source", is_range=True, most=1_200)
    assert "hourly_lag_source" in plan_of(sql)


# Pages.


def test_a_source_with_fewer_than_eight_events_in_a_week_is_too_quiet_to_judge(clock, django_assert_num_queries):
    now = datetime.now(UTC)
    log_history(["orchard", "harbour"], per_hour=1)
    HourlyLag.objects.filter(
        project_slug=slug_of("harbour"), hour__gte=now - 3 * WEEK + 5 * HOUR, hour__lt=now - 2 * WEEK - 2 * HOUR
    ).delete()
    for project, weeks in {"orchard": 5, "harbour": 5, "shed": 5}.items():
        Source.objects.create(webhook="one", project_slug=slug_of(project), state=UP, first_event_at=now - weeks * WEEK)
    for state in (NEW, LATE, SILENT):
        Source.objects.create(webhook="one", project_slug=f"{state}", state=state, first_event_at=now - 5 * WEEK)
    with django_assert_num_queries(2):
        found = find_too_quiet(Source.objects.all(), now)
    too_quiet = {source.project_slug for source in Source.objects.filter(pk__in=found)}
    assert too_quiet == {slug_of("harbour"), slug_of("shed")}
