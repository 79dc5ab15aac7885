"""The log notes when a workflow broke and when it was fixed, once, and says why nothing reports a change."""

import io
import json
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from django.core.management import call_command
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext

from logs.ingest.replay import replay
from logs.models import Standing, StateChange, WorkflowEvent
from logs.standings import following, judging, overlapping
from logs.standings.following import BranchesSkipped, drop_idle_standings
from tests.integration.standings_log import DAY, HOUR, MINUTE, SECOND, Watch, log_run, noted, refuse_run
from tests.plans import analyze, assert_reads_little, plan_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("webhook_secrets")]


@pytest.fixture
def watch(clock, monkeypatch):
    """A watch that has checked an empty log, as on a new site."""
    # The clock that is moved does not move time.monotonic().
    monkeypatch.setattr(overlapping, "time", SimpleNamespace(monotonic=lambda: datetime.now(UTC).timestamp()))
    return Watch()


def test_notes_once_what_broke_and_what_was_fixed(watch, clock):
    for number, status in enumerate(["success", "failed", "failed", "success"], 1):
        log_run(number, status)
        watch.check()
        watch.check()
        clock.shift(MINUTE)
    assert noted() == [("broke", 2, ""), ("fixed", 4, "")]
    fixed = StateChange.objects.get(kind="fixed")
    assert (fixed.failures, fixed.broken_for_seconds) == (2, pytest.approx(120, abs=1))
    assert fixed.event_id == WorkflowEvent.objects.get(pipeline_number=4).pk
    assert (fixed.author, fixed.subject, fixed.workflow) == ("Wilma Quince", "Prune the apple trees", "build-and-test")


def test_a_standing_names_the_runs_that_matter(watch, clock):
    for number, status in enumerate(["success", "failed", "failed"], 1):
        log_run(number, status)
        clock.shift(MINUTE)
    watch.check()
    standing = Standing.objects.select_related("last", "last_good", "broken_since").get()
    runs = (standing.last_good, standing.broken_since, standing.last)
    assert [run.pipeline_number for run in runs] == [1, 2, 3]
    assert (standing.tone, standing.failures, standing.branch) == ("bad", 2, "main")
    assert standing.last_good_at == standing.last_good.stopped_at
    assert standing.broken_at == standing.broken_since.stopped_at
    assert standing.last_run_at == standing.last.received_at


def test_a_branch_whose_first_run_fails_broke(watch):
    log_run(1, "failed")
    watch.check()
    assert noted() == [("broke", 1, "")]


def test_a_run_of_an_older_pipeline_that_arrives_late_changes_nothing(watch, clock):
    log_run(2, "success")
    watch.check()
    clock.shift(MINUTE)
    log_run(1, "failed")
    watch.check()
    assert noted() == []
    assert Standing.objects.get().tone == "good"


@pytest.mark.parametrize("status", ["canceled", "not_run", "nonsense", ""])
def test_a_run_without_a_verdict_changes_nothing(watch, clock, status):
    log_run(1, "failed")
    watch.check()
    clock.shift(MINUTE)
    log_run(2, status)
    watch.check()
    assert noted() == [("broke", 1, "")]
    standing = Standing.objects.get()
    assert (standing.failures, standing.last_run_at) == (1, datetime.now(UTC))


def test_each_workflow_and_branch_of_each_project_has_a_standing_of_its_own(watch):
    for options in ({}, {"branch": "shed"}, {"workflow": "deploy"}, {"project": "harbour"}):
        log_run(1, "failed", **options)
    watch.check()
    assert len(noted()) == Standing.objects.count() == 4


def test_runs_without_a_pipeline_number_or_a_branch_have_no_standing(watch):
    log_run(None, "failed")
    log_run(1, "failed", tag="v1")
    watch.check()
    assert not Standing.objects.exists()


def test_a_second_version_of_a_run_counts(watch, clock):
    log_run(1, "success", workflow_id="one")
    watch.check()
    clock.shift(MINUTE)
    log_run(1, "failed", workflow_id="one")
    watch.check()
    assert noted() == [("broke", 1, "")]


def test_only_the_last_change_of_a_check_is_loud(watch, clock):
    for number, status in enumerate(["success", "failed", "success", "failed"], 1):
        log_run(number, status)
        clock.shift(SECOND)
    watch.check()
    assert noted() == [("broke", 2, "overtaken by run #3"), ("fixed", 3, "overtaken by run #4"), ("broke", 4, "")]


@pytest.mark.parametrize(("minutes", "reason"), [(59, ""), (61, "ended 1 h 1 min before it was read")])
def test_a_run_that_ended_long_ago_is_quiet(watch, minutes, reason):
    log_run(1, "failed", ended=minutes * MINUTE)
    watch.check()
    assert noted() == [("broke", 1, reason)]


def test_a_run_that_ends_in_the_future_ended_when_it_arrived(watch):
    log_run(1, "failed", ended=-5 * HOUR)
    watch.check()
    assert StateChange.objects.get().happened_at == datetime.now(UTC)


def test_the_age_that_is_reported_can_be_set(watch, settings):
    settings.NOTIFICATION_MAX_AGE_MINUTES = 10
    log_run(1, "failed", ended=11 * MINUTE)
    watch.check()
    assert noted() == [("broke", 1, "ended 11 min before it was read")]


def test_a_replay_of_last_weeks_deliveries_is_quiet(watch):
    delivery = refuse_run(1, "failed", ended=7 * DAY)
    replay(delivery.pk, actor="ops")
    watch.check()
    assert noted() == [("broke", 1, "ended 7 d before it was read")]


def test_a_replay_of_a_delivery_refused_ten_minutes_ago_is_loud(watch, clock):
    delivery = refuse_run(1, "failed")
    watch.check()
    clock.shift(10 * MINUTE)
    replay(delivery.pk, actor="ops")
    watch.check()
    assert noted() == [("broke", 1, "")]


def test_an_unsigned_run_is_quiet(watch, settings):
    settings.CIRCLECI_WEBHOOK_SECRETS = {"lab": None}
    log_run(1, "failed", webhook_slug="lab")
    watch.check()
    assert noted() == [("broke", 1, "not signed; no rule asks for unsigned events")]


@pytest.mark.parametrize(("origin", "reason"), [("api", "read from CircleCI's API"), ("import", "imported")])
def test_a_run_from_elsewhere_is_quiet(watch, origin, reason):
    event_id = log_run(1, "failed")
    WorkflowEvent.objects.filter(event_id=event_id).update(origin=origin)
    watch.check()
    assert noted() == [("broke", 1, reason)]


def test_events_keep_where_they_come_from(tmp_path):
    path = tmp_path / "array.json"
    path.write_text(json.dumps([{"name": "a", "project": "b", "workflow": "c", "status": "failed"}]))
    call_command("import_array", str(path), stdout=io.StringIO())
    log_run(1)
    assert list(WorkflowEvent.objects.order_by("pk").values_list("origin", flat=True)) == ["import", "webhook"]


def test_the_first_check_of_a_log_reports_nothing(clock):
    log_run(1, "failed")
    log_run(1, "failed", branch="shed")
    watch = Watch(is_new=True)
    watch.check()
    assert noted() == [("broke", 1, "first check of this branch")] * 2
    clock.shift(MINUTE)
    log_run(2, "success")
    watch.check()
    assert noted()[2:] == [("fixed", 2, "")]


def test_the_first_check_finds_events_of_releases_that_did_not_record_changes(clock):
    log_run(1, "failed")
    WorkflowEvent.objects.update(changed_at=None)
    Watch(is_new=True).check()
    assert Standing.objects.get().tone == "bad"


def test_the_first_check_goes_on_after_an_interruption(clock, monkeypatch):
    monkeypatch.setattr(following, "BATCH_SIZE", 2)
    for number in range(5):
        log_run(1, "failed", branch=f"branch-{number}")
    watch = Watch(is_new=True)
    next(watch.follower.check(watch.lease))
    assert (Standing.objects.count(), watch.lease.cursor) == (2, None)
    watch.restart()
    watch.check()
    assert noted() == [("broke", 1, "first check of this branch")] * 5


def test_a_standing_of_an_older_release_is_judged_again(clock):
    event_id = log_run(1, "failed")
    event = WorkflowEvent.objects.get(event_id=event_id)
    branch = {"project_slug": event.project_slug, "workflow": event.workflow, "branch": event.branch}
    Standing.objects.create(last=event, broken_since=event, project=event.project, **branch)
    assert not Standing.objects.judged().exists()
    Watch(is_new=True).check()
    standing = Standing.objects.judged().get()
    assert (standing.failures, standing.broken_since_id) == (1, event.pk)


def test_a_restart_repeats_nothing(watch, clock):
    log_run(1, "failed")
    watch.check()
    watch.restart()
    watch.check()
    assert noted() == [("broke", 1, "")]


def test_what_happened_while_no_watch_ran_is_found(watch, clock):
    watch.restart()
    log_run(1, "failed")
    clock.shift(2 * HOUR)
    watch.check()
    assert noted() == [("broke", 1, "ended 2 h before it was read")]


@pytest.mark.parametrize("seconds", [30, 55])
def test_a_host_whose_clock_is_behind_is_followed(watch, clock, seconds):
    for _ in range(60):
        watch.check()
        clock.shift(SECOND)
    clock.shift(-seconds * SECOND)
    log_run(1, "failed")
    clock.shift(seconds * SECOND)
    for _ in range(31):
        watch.check()
        clock.shift(SECOND)
    assert noted() == [("broke", 1, "")]


def test_a_clock_that_was_set_back_does_not_stop_the_watch(watch, clock):
    watch.check()
    clock.shift(-3 * HOUR)
    log_run(1, "failed")
    watch.check()
    assert noted() == [("broke", 1, "")]


def test_a_branch_that_cannot_be_judged_does_not_stop_the_others(watch, clock, monkeypatch):
    judge_branch = following.judge_branch

    def fail_for_shed(branch, **options):
        if branch[2] == "shed":
            raise ValueError("no such colour")
        return judge_branch(branch, **options)

    monkeypatch.setattr(following, "judge_branch", fail_for_shed)
    log_run(1, "failed", branch="shed")
    log_run(1, "failed")
    with pytest.raises(
        BranchesSkipped, match=r"^1 branches cannot be judged, such as .*'shed'\): ValueError: no such colour"
    ):
        watch.check()
    assert noted() == [("broke", 1, "")]
    monkeypatch.setattr(following, "judge_branch", judge_branch)
    clock.shift(31 * SECOND)
    watch.check()
    assert sorted(StateChange.objects.values_list("branch", flat=True)) == ["main", "shed"]


def test_a_branch_that_could_not_be_judged_is_judged_by_the_next_process(watch, clock, monkeypatch):
    def fail(branch, **options):
        raise ValueError("no such colour")

    log_run(1, "failed")
    with monkeypatch.context() as patched:
        patched.setattr(following, "judge_branch", fail)
        for _ in range(200):
            with pytest.raises(BranchesSkipped):
                watch.check()
            clock.shift(SECOND)
    watch.restart()
    watch.check()
    assert noted() == [("broke", 1, "")]
    assert watch.lease.cursor["skipped"] == []


def test_the_judgement_of_a_signed_run_outlives_the_run(watch, clock, settings):
    settings.CIRCLECI_WEBHOOK_SECRETS |= {"lab": None}
    log_run(10, "failed")
    watch.check()
    WorkflowEvent.objects.all().delete()
    clock.shift(SECOND)
    log_run(10**15, "success", webhook_slug="lab")
    watch.check()
    assert (Standing.objects.get().tone, noted()) == ("bad", [("broke", 10, "")])


@pytest.mark.parametrize(("number", "status", "failures"), [(10, "success", 35), (15, "failed", 35)])
def test_a_late_run_counts_although_more_runs_than_the_window_have_failed_since(watch, clock, number, status, failures):
    for pipeline in range(46):
        if pipeline != number:
            log_run(pipeline, "failed" if pipeline > 10 or number == 10 else "success")
        watch.check()
        clock.shift(SECOND)
    log_run(number, status)
    watch.check()
    standing = Standing.objects.get()
    assert (standing.failures, standing.broken_since.pipeline_number) == (failures, 11)


def test_a_run_whose_newer_version_names_another_branch_leaves_its_branch(watch, clock):
    log_run(1, "failed", workflow_id="moving")
    watch.check()
    clock.shift(MINUTE)
    log_run(1, "failed", workflow_id="moving", branch="shed")
    log_run(2, "failed")
    watch.check()
    standing = Standing.objects.select_related("last").get(branch="main")
    assert (standing.last.pipeline_number, standing.last.branch) == (2, "main")


def test_a_database_that_fails_loses_nothing(watch, clock, monkeypatch):
    log_run(1, "failed")
    with monkeypatch.context() as patched:
        patched.setattr(StateChange.objects, "bulk_create", _raise_operational_error)
        with pytest.raises(OperationalError):
            watch.check()
    assert not Standing.objects.exists()
    watch.check()
    assert noted() == [("broke", 1, "")]


def _raise_operational_error(*args, **options):
    raise OperationalError("the server is away")


def test_a_branch_of_thousands_of_runs_costs_two_short_reads(watch, clock):
    for number in range(40):
        log_run(number, "failed")
        watch.check()
        clock.shift(SECOND)
    log_run(40, "failed")
    with CaptureQueriesContext(connection) as captured:
        judging.judge_branch(("github/acme/orchard", "build-and-test", "main"), is_first=False)
    assert len(captured) == 3  # The standing, its window, and the first runs beyond the window.
    analyze()
    assert_reads_little(captured[1]["sql"], "event_workflow_runs", is_range=True)
    watch.check()
    standing = Standing.objects.get()
    assert (standing.failures, standing.broken_since.pipeline_number) == (41, 0)


def test_more_runs_than_the_window_are_counted_after_a_pause(watch, clock):
    log_run(0)
    watch.check()
    for number in range(1, 41):
        log_run(number, "failed")
        clock.shift(SECOND)
    watch.check()
    standing = Standing.objects.get()
    assert (standing.failures, standing.broken_since.pipeline_number) == (40, 1)
    assert noted() == [("broke", 1, "")]


def test_a_standing_outlives_its_events(watch, clock):
    for number in range(3):
        log_run(number, "failed")
        clock.shift(MINUTE)
    watch.check()
    broken_at = Standing.objects.get().broken_at
    WorkflowEvent.objects.filter(pipeline_number=0).delete()
    log_run(3, "failed")
    watch.check()
    standing = Standing.objects.get()
    assert (standing.failures, standing.broken_at) == (4, broken_at)
    log_run(4)
    watch.check()
    assert StateChange.objects.get(kind="fixed").failures == 4
    assert StateChange.objects.get(kind="fixed").broken_for_seconds == pytest.approx(180, abs=1)


def test_idle_branches_are_forgotten_but_default_branches_never(watch, clock, settings):
    settings.DEFAULT_BRANCHES = ["main"]
    for branch in ("main", "shed"):
        log_run(1, "failed", branch=branch)
    watch.check()
    clock.shift(89 * DAY)
    list(drop_idle_standings())
    assert Standing.objects.count() == 2
    clock.shift(2 * DAY)
    list(drop_idle_standings())
    assert [standing.branch for standing in Standing.objects.all()] == ["main"]


@pytest.mark.parametrize("is_analyzed", [True, False])
def test_reads_new_runs_by_the_time_they_changed(watch, clock, is_analyzed):
    now = datetime.now(UTC)
    columns = {"project_slug": "github/acme/orchard", "workflow": "build", "branch": "main", "verified": True}
    WorkflowEvent.objects.bulk_create(
        WorkflowEvent(
            event_id=f"event-{number}",
            event_type="job-completed" if number % 5 else "workflow-completed",
            received_at=now - number * MINUTE,
            changed_at=now - number * MINUTE,
            **columns,
        )
        for number in range(10_000)
    )
    if is_analyzed or connection.vendor == "postgresql":  # Which analyzes tables by itself.
        analyze()
    with CaptureQueriesContext(connection) as captured:
        watch.check()
    assert "event_changed" in plan_of(captured[0]["sql"])


def test_an_idle_check_is_one_statement(watch):
    watch.check()
    with CaptureQueriesContext(connection) as captured:
        watch.check()
    assert len(captured) == 1
