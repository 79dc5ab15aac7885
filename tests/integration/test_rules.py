"""Rules decide which changes, runs and jobs are sent to which channels."""

import random
from datetime import UTC, datetime
from importlib import import_module
from types import SimpleNamespace

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.test.utils import CaptureQueriesContext

from logs.circleci import samples
from logs.circleci.samples import Host
from logs.ingest.pipeline import Arrival, authenticate, record
from logs.models import Channel, Notification, Rule, Standing, StateChange, WatchTask, WorkflowEvent
from logs.models.watch import FOLLOW
from logs.notifications import outbox, reminding, resending
from logs.notifications.composing import compose
from logs.notifications.events import EventFollower
from logs.standings import overlapping
from logs.standings.following import Follower, drop_idle_standings
from logs.watch.leases import LeaseLost
from logs.watch.tasks import all_tasks
from tests.integration.rules_for_tests import add_rule
from tests.integration.standings_log import DAY, HOUR, MINUTE, SECOND, SECRET, FakeLease, log_run

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("webhook_secrets")]

CHAT, PAGER = "slack", "pagerduty"


class Site:
    """A site's watch, without its senders: every notification counts as sent."""

    def __init__(self, clock):
        self.clock = clock
        self.reports = 0
        self.follower, self.events = Follower(outbox.enqueue), EventFollower(self._report)
        self.leases = FakeLease(), FakeLease()
        self.check()

    def _report(self):
        self.reports += 1

    def follow(self):
        """Note the changes, and store the cursor."""
        list(self.follower.check(self.leases[0]))
        WatchTask.objects.update_or_create(name=FOLLOW, defaults={"cursor": self.leases[0].cursor})

    def check(self):
        """Run each task once."""
        self.follow()
        list(self.events.check(self.leases[1]))
        list(reminding.remind(FakeLease()))
        Notification.objects.filter(state="waiting").update(state="sent")

    def skip(self, span):
        """Let time pass in which nothing is logged."""
        self.clock.shift(span)
        self.leases[0].cursor |= {"until": datetime.now(UTC).isoformat()}

    def run(self, number, status="success", *, wait=MINUTE, **options):
        """Log a run and check."""
        event_id = log_run(number, status, **options)
        self.check()
        self.clock.shift(wait)
        self.check()
        return event_id


@pytest.fixture
def site(clock, monkeypatch):
    monkeypatch.setattr(overlapping, "time", SimpleNamespace(monotonic=lambda: datetime.now(UTC).timestamp()))
    return Site(clock)


def add_channel(name="ops", kind=CHAT, **columns):
    return Channel.objects.create(name=name, kind=kind, **columns)


def log_job(name, status, **options):
    document = samples.job_completed(
        random=random.Random(name), job=name, status=status, happened_at=datetime.now(UTC), **options
    )
    body = samples.encode(document)
    headers = samples.headers(body, document, SECRET)
    arrival = Arrival(received_at=datetime.now(UTC), webhook_slug="", headers=headers, client_address=None, body=body)
    return record(arrival, authenticate(arrival)).event_id


def sent(name="ops"):
    """Return what a channel got, oldest first."""
    return list(Notification.objects.filter(channel__name=name).order_by("pk").values_list("kind", flat=True))


def headlines():
    return [compose(each).headline for each in Notification.objects.order_by("pk")]


def facts(notification):
    return dict(compose(notification).facts)


# Changes.


def test_two_rules_for_one_channel_send_one_message(site):
    channel = add_channel()
    first, _ = add_rule(channel), add_rule(channel, branches="")
    site.run(1, "failed")
    assert sent() == ["broke"]
    assert Notification.objects.get().rule == first


def test_without_a_rule_nothing_is_sent(site):
    add_channel()
    add_rule(enabled=False)
    add_rule(branches="shed")
    add_rule(subject="runs", statuses=["success"])
    site.run(1, "failed")
    assert sent() == []


def test_each_rule_has_its_channels(site):
    add_rule(add_channel("ops"))
    add_rule(add_channel("shed"), branches="shed")
    site.run(1, "failed")
    site.run(1, "failed", branch="shed")
    assert (sent("ops"), sent("shed")) == (["broke"], ["broke"])


def test_a_fix_goes_only_to_channels_that_got_the_breakage_or_ask_for_fixes_only(site):
    add_rule(add_channel("ops"))
    site.run(1, "failed")
    add_rule(add_channel("late"))
    add_rule(add_channel("fixes"), on_broke=False)
    add_rule(add_channel("both"), on_broke=False)
    add_rule(Channel.objects.get(name="both"))
    site.run(2, "success")
    assert [sent(name) for name in ("ops", "late", "fixes", "both")] == [["broke", "fixed"], [], ["fixed"], ["fixed"]]


def test_an_incident_gets_its_end_although_its_rule_was_disabled(site):
    rule = add_rule(add_channel(kind=PAGER), add_channel("chat"))
    site.run(1, "failed")
    rule.enabled = False
    rule.save()
    site.run(2, "success")
    assert (sent("ops"), sent("chat")) == (["broke", "fixed"], ["broke"])


def test_a_fix_by_another_author_is_reported(site):
    add_channel()
    add_rule(authors="Wilma*")
    site.run(1, "failed")
    StateChange.objects.update(author="Bob")
    site.run(2, "success")
    assert sent() == ["broke", "fixed"]


@pytest.mark.parametrize(("authors", "expected"), [("Wilma*", ["broke"]), ("!Wilma*", [])])
def test_the_author_who_broke_it_is_compared(site, authors, expected):
    add_channel()
    add_rule(authors=authors)
    site.run(1, "failed")
    assert sent() == expected


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ("ff", []),
        ("ffs", []),
        ("fff", ["broke"]),
        ("ffff", ["broke"]),
        ("fcff", ["broke"]),
        ("ffsff", []),
        ("sfffsfffs", ["broke", "fixed", "broke", "fixed"]),
    ],
)
def test_a_rule_can_wait_for_three_failures(site, statuses, expected):
    add_channel()
    add_rule(after_failures=3)
    names = {"f": "failed", "s": "success", "c": "canceled"}
    for number, letter in enumerate(statuses, 1):
        site.run(number, names[letter])
    assert sent() == expected


def test_the_message_after_three_failures_says_so_and_is_about_the_third_run(site, clock):
    add_channel()
    add_rule(after_failures=3)
    events = [site.run(number, "failed") for number in (1, 2, 3)]
    notification = Notification.objects.get()
    since = f"{notification.change.happened_at:%Y-%m-%d %H:%M} UTC"
    Rule.objects.update(after_failures=7)  # The message says what happened, not what the rule says now.
    assert facts(notification)["State"] == f"3 failures in a row. Failing since {since}"
    assert notification.event.event_id == events[2]
    assert notification.change.event.event_id == events[0]


def test_a_message_that_is_composed_late_names_no_number(site):
    add_channel()
    add_rule(after_failures=2)
    for number in (1, 2, 3):
        site.run(number, "failed")
    assert facts(Notification.objects.get())["State"].startswith("Failing since ")


def test_three_failures_in_one_check_are_reported(site, clock):
    add_channel()
    add_rule(after_failures=3)
    for number in (1, 2, 3):
        log_run(number, "failed")
        clock.shift(SECOND)
    site.check()
    assert sent() == ["broke"]


@pytest.mark.parametrize(("minutes", "expected"), [((90, 90, 0), ["broke"]), ((0, 0, 90), [])])
def test_the_run_that_reaches_the_number_must_be_fresh(site, minutes, expected):
    add_channel()
    add_rule(after_failures=3)
    for number, age in enumerate(minutes, 1):
        site.run(number, "failed", ended=age * MINUTE)
    assert sent() == expected


def test_a_rule_waits_without_further_queries_while_nothing_fails(site):
    add_channel()
    add_rule(after_failures=3)
    site.run(1)
    log_run(2)
    with CaptureQueriesContext(connection) as captured:
        list(site.follower.check(site.leases[0]))
    assert not [query for query in captured if "logs_rule" in query["sql"]]


@pytest.mark.parametrize("columns", [{}, {"after_failures": 2}])
@pytest.mark.parametrize(("allow_unverified", "expected"), [(True, ["broke", "fixed"]), (False, [])])
def test_an_unsigned_event_is_reported_if_a_rule_allows_it(site, settings, columns, allow_unverified, expected):
    settings.CIRCLECI_WEBHOOK_SECRETS = {"lab": None}
    add_channel()
    add_rule(allow_unverified=allow_unverified, **columns)
    for number, status in enumerate(["failed", "failed", "success"], 1):
        site.run(number, status, webhook_slug="lab")
    assert sent() == expected
    assert bool(StateChange.objects.get(kind="fixed").quiet_reason) is not allow_unverified


# Runs and jobs.


def test_reports_each_run_once_with_its_failed_jobs(site):
    add_channel()
    add_rule(subject="runs", statuses=["failed"])
    run = "0e5a0ff1-2b3c-4d5e-8f90-123456789abc"
    log_job("lint", "failed", workflow_id=run)
    log_job("units", "success", workflow_id=run)
    site.run(1, "failed", workflow_id=run)
    site.run(2, "success")
    site.check()
    assert headlines() == ["build-and-test: failed on main"]
    assert facts(Notification.objects.get())["Failed jobs"] == "lint"


def test_a_run_that_ended_in_the_future_ended_when_it_arrived(site):
    add_channel()
    add_rule(subject="runs")
    site.run(1, "failed")
    event = WorkflowEvent.objects.get()
    event.stopped_at = event.received_at + 400 * DAY
    event.save()
    content = compose(Notification.objects.get())
    assert datetime.fromisoformat(content.happened_at) == event.received_at


def test_reports_jobs(site):
    add_channel()
    add_rule(subject="jobs", statuses=["failed"])
    log_job("lint", "failed", branch="main")
    log_job("units", "success", branch="main")
    site.run(1, "failed")
    assert sent() == ["job"]
    assert headlines() == ["build-and-test · lint: failed on main"]
    assert site.reports == 1


@pytest.mark.parametrize(
    ("columns", "options", "expected"),
    [
        ({"tags": "v*", "branches": ""}, {"tag": "v1", "host": Host.GITLAB}, ["run"]),
        ({"tags": "v*", "branches": ""}, {"tag": "x1", "host": Host.GITLAB}, []),
        ({"tags": "v*", "branches": ""}, {}, []),
        ({"tags": "v*"}, {}, ["run"]),
        ({"tags": "!*-rc*", "branches": ""}, {}, ["run"]),
        ({"tags": "!*-rc*", "branches": ""}, {"tag": "v1", "host": Host.GITLAB}, ["run"]),
        ({"tags": "!*-rc*", "branches": ""}, {"tag": "v1-rc1", "host": Host.GITLAB}, []),
        ({"tags": "!*-rc*", "branches": "shed"}, {}, []),
        ({}, {"tag": "v1"}, []),
        ({}, {"branch": "shed"}, []),
        ({"branches": "shed"}, {"branch": "shed"}, ["run"]),
        ({}, {"ended": 61 * MINUTE}, []),
        ({}, {"ended": 58 * MINUTE}, ["run"]),
        ({"enabled": False}, {}, []),
    ],
)
def test_a_rule_on_runs_selects(site, columns, options, expected):
    add_channel()
    add_rule(subject="runs", **columns)
    site.run(1, **options)
    assert sent() == expected


def test_a_run_without_a_pipeline_number_is_reported(site):
    add_channel()
    add_rule(subject="runs")
    site.run(None)
    assert sent() == ["run"]


def test_imported_runs_are_not_reported(site):
    add_channel()
    add_rule(subject="runs")
    event_id = log_run(1)
    WorkflowEvent.objects.filter(event_id=event_id).update(origin="import")
    site.clock.shift(MINUTE)
    site.check()
    assert sent() == []


def test_a_rule_on_runs_never_opens_an_incident(site):
    add_rule(add_channel(kind=PAGER), add_channel("chat"), subject="runs")
    site.run(1, "failed")
    assert (sent("ops"), sent("chat")) == ([], ["run"])


def test_a_change_replaces_the_message_about_its_run(site):
    add_rule(add_channel("ops"), add_channel("changes"))
    add_rule(Channel.objects.get(name="ops"), add_channel("runs"), subject="runs")
    site.run(1, "failed")
    site.run(2, "failed")
    assert [sent(name) for name in ("ops", "changes", "runs")] == [["broke", "run"], ["broke"], ["run", "run"]]


def test_events_from_before_the_first_check_are_not_reported(site):
    add_channel()
    add_rule(subject="runs")
    log_run(1)
    site.clock.shift(MINUTE)
    site.leases = site.leases[0], FakeLease()
    site.check()
    site.check()
    assert sent() == []


@pytest.mark.parametrize("back", [MINUTE, 5 * HOUR])
def test_a_clock_that_was_set_back_stops_no_rule_on_runs(site, back):
    add_channel()
    add_rule(subject="runs")
    for _ in range(3):
        site.clock.shift(MINUTE)
        site.check()
    site.clock.shift(-back)
    site.check()
    site.clock.shift(4 * SECOND)
    site.run(1)
    assert sent() == ["run"]


def test_a_restart_reports_nothing_twice_and_misses_nothing(site):
    add_channel()
    add_rule(subject="runs")
    site.run(1)
    site.events = EventFollower(list)
    site.leases = site.leases[0], FakeLease(site.leases[1].cursor)
    site.run(2)
    assert sent() == ["run", "run"]


@pytest.mark.parametrize("seconds", [4, 10, 60])
def test_after_a_restart_a_change_still_replaces_the_message_about_its_run(site, clock, seconds):
    channel = add_channel()
    add_rule(channel)
    add_rule(channel, branches="", subject="runs")
    site.check()
    clock.shift(10 * SECOND)
    site.check()
    log_run(1, "failed")
    clock.shift(seconds * SECOND)
    site.follower, site.events = Follower(outbox.enqueue), EventFollower(list)
    list(site.events.check(site.leases[1]))  # This task of the new watch happens to be the first.
    site.check()
    clock.shift(4 * SECOND)
    site.check()
    assert sent() == ["broke"]


def test_a_run_waits_for_the_check_of_changes(site, clock):
    channel = add_channel()
    add_rule(channel)
    add_rule(channel, branches="", subject="runs")
    site.check()
    log_run(1, "failed")
    log_run(2, "failed", branch="shed")
    for _ in range(2):
        clock.shift(MINUTE)
        list(site.events.check(site.leases[1]))
    assert sent() == []
    site.check()
    clock.shift(4 * SECOND)
    site.check()
    assert sent() == ["broke", "run"]


def test_a_new_rule_on_jobs_reports_no_older_jobs_although_there_is_a_rule_on_runs(site, clock):
    add_rule(add_channel(), branches="", subject="runs")
    site.check()
    log_job("lint", "failed")
    clock.shift(40 * SECOND)
    site.check()
    rule = add_rule(branches="", subject="jobs")
    for _ in range(2):
        clock.shift(35 * SECOND)
        site.check()
    assert sent() == []
    log_job("units", "failed")
    site.run(1)
    assert sent() == ["job", "run"]
    rule.delete()
    log_job("docs", "failed")
    site.run(2)
    add_rule(branches="", subject="jobs")
    site.run(3)
    assert sent() == ["job", "run", "run", "run"]


def test_without_a_rule_on_runs_or_jobs_a_check_costs_one_query(site, django_assert_num_queries):
    add_channel()
    add_rule()
    log_run(1)
    with django_assert_num_queries(1):
        list(site.events.check(site.leases[1]))
    add_rule(subject="runs", statuses=["success"])
    with django_assert_num_queries(4):  # Rules, their channels, the cursor of the changes, events.
        list(site.events.check(site.leases[1]))


# Reminders and branches that rest.


@pytest.mark.parametrize(
    ("hours", "expected"),
    [(1.9, ["broke"]), (2.1, ["broke", "reminder"]), (4.1, ["broke", "reminder", "reminder"])],
)
def test_reminds_while_a_branch_stays_broken(site, hours, expected):
    add_channel()
    add_rule(remind_every_hours=2)
    site.run(1, "failed")
    for _ in range(int(hours * 10) - 1):
        site.clock.shift(6 * MINUTE)
        site.check()
    assert sent() == expected


def test_a_reminder_says_for_how_long(site):
    add_channel()
    add_rule(remind_every_hours=2)
    site.run(1, "failed", wait=3 * HOUR)
    since = f"{StateChange.objects.get().happened_at:%Y-%m-%d %H:%M} UTC"
    assert headlines()[1] == "build-and-test is still broken on main"
    assert facts(Notification.objects.last())["State"] == f"Failing since {since}, for 3 h"


def test_after_a_pause_only_the_latest_reminder_is_sent(site):
    add_channel()
    add_rule(remind_every_hours=1)
    site.run(1, "failed", wait=10.5 * HOUR)
    site.check()
    assert sent() == ["broke", "reminder"]
    assert Notification.objects.last().key.split(":")[2] == "10"


def test_reminds_only_channels_that_got_the_breakage(site):
    add_rule(add_channel("ops"))
    site.run(1, "failed")
    add_rule(Channel.objects.get(name="ops"), add_channel("late"), add_channel("pager", PAGER), remind_every_hours=2)
    site.clock.shift(2 * HOUR)
    site.check()
    assert (sent("ops"), sent("late"), sent("pager")) == (["broke", "reminder"], [], [])


def test_no_reminder_for_a_breakage_that_was_fixed_quietly(site):
    add_channel()
    add_rule(remind_every_hours=2, after_failures=2)
    for number, status in enumerate(["failed", "failed", "success", "failed"], 1):
        site.run(number, status, ended=2 * HOUR if status == "success" else 0 * HOUR)
    site.clock.shift(3 * HOUR)
    site.check()
    assert sent() == ["broke"]


def test_no_reminder_for_a_fixed_or_resting_branch(site):
    add_channel()
    add_rule(remind_every_hours=24, on_fixed=True)
    site.run(1, "failed")
    site.run(2, "success", wait=25 * HOUR)
    assert sent() == ["broke", "fixed"]
    site.run(3, "failed")
    site.skip(31 * DAY)
    site.check()
    assert sent() == ["broke", "fixed", "broke"]


def test_reminders_cost_a_bounded_number_of_queries(site, django_assert_num_queries):
    add_channel()
    with django_assert_num_queries(1):
        list(reminding.remind(FakeLease()))
    add_rule(remind_every_hours=2)
    for branch in ("main", "master"):
        site.run(1, "failed", branch=branch)
    site.clock.shift(3 * HOUR)
    site.check()
    with django_assert_num_queries(3):  # Rules, their channels, and breakages with their changes.
        list(reminding.remind(FakeLease()))
    site.clock.shift(2 * HOUR)
    with django_assert_num_queries(7):  # Also a transaction with the breakages that are still due, and the reminders.
        list(reminding.remind(FakeLease()))
    assert sent().count("reminder") == 4


def test_a_longer_interval_goes_on_with_the_next_reminder(site):
    add_channel()
    rule = add_rule(remind_every_hours=1)
    site.run(1, "failed")
    for _ in range(10):
        site.clock.shift(HOUR)
        site.check()
    rule.remind_every_hours = 24
    rule.save()
    for _ in range(62):
        site.clock.shift(HOUR)
        site.check()
    hours = [each.key.split(":")[2] for each in Notification.objects.filter(kind="reminder").order_by("pk")]
    assert hours == [*map(str, range(1, 11)), "24", "48", "72"]


def test_two_rules_with_different_intervals_remind_a_channel_once_at_a_time(site):
    add_rule(add_channel(), remind_every_hours=2)
    add_rule(Channel.objects.get(), remind_every_hours=3)
    site.run(1, "failed")
    for _ in range(13):
        site.clock.shift(HOUR / 2)
        site.check()
    hours = [each.key.split(":")[2] for each in Notification.objects.filter(kind="reminder").order_by("pk")]
    assert hours == ["2", "3", "4", "6"]


def test_copies_of_messages_neither_stop_nor_double_reminders(site):
    add_channel()
    add_rule(remind_every_hours=1)
    for number, status in enumerate(["failed", "success", "failed"], 1):
        site.run(number, status)
    for kind in ("broke", "fixed"):
        resending.send_again(Notification.objects.filter(kind=kind).latest("pk").pk)
    site.clock.shift(HOUR)
    site.check()
    assert sent().count("reminder") == 1


def test_a_reminder_is_not_sent_if_the_branch_is_fixed_meanwhile(site):
    add_channel()
    add_rule(remind_every_hours=1)
    site.run(1, "failed")
    site.clock.shift(2 * HOUR)

    class Renewed(FakeLease):
        def renew(self):
            change = StateChange.objects.get()
            change.pk, change.kind = None, "fixed"
            change.save()

    list(reminding.remind(Renewed()))
    assert sent() == ["broke"]


def lose(*_):
    raise LeaseLost


@pytest.mark.parametrize("task", [reminding.remind, reminding.end_resting])
def test_a_watch_that_has_lost_its_lease_adds_nothing(site, monkeypatch, task):
    add_rule(add_channel(kind=PAGER), add_channel("chat"), remind_every_hours=24)
    site.run(1, "failed")
    site.clock.shift(29 * DAY if task is reminding.remind else 30 * DAY)
    monkeypatch.setattr(FakeLease, "renew", lose)
    with pytest.raises(LeaseLost):
        list(task(FakeLease()))
    assert (sent("ops"), sent("chat")) == (["broke"], ["broke"])


def rest(site):
    """Let a broken branch rest, and end its incident."""
    site.skip(30 * DAY + HOUR)
    list(reminding.end_resting(FakeLease()))
    Notification.objects.filter(state="waiting").update(state="sent")


def test_a_branch_that_fails_again_after_a_rest_opens_an_incident_again(site):
    add_rule(add_channel(kind=PAGER), add_channel("chat"))
    site.run(1, "failed")
    for number in (2, 4):
        rest(site)
        site.run(number, "failed")
        site.run(number + 1, "failed")
    assert (sent("ops"), sent("chat")) == (["broke", "fixed", "broke", "fixed", "broke"], ["broke"])
    assert headlines()[-1] == "build-and-test broke on main"
    site.run(6, "success")
    assert (sent("ops")[-1], sent("chat")) == ("fixed", ["broke", "fixed"])


def test_a_breakage_that_is_reported_again_is_followed_by_reminders_again(site):
    add_rule(add_channel(kind="webhook"), remind_every_hours=24)
    site.run(1, "failed")
    for number in (1, 2):
        for _ in range(2):
            site.skip(DAY)
            site.check()
        rest(site)
        site.run(number + 1, "failed")
    assert sent() == [*["broke", "reminder", "reminder", "fixed"] * 2, "broke"]


@pytest.mark.parametrize(
    ("status", "ended", "expected"), [("canceled", 0, []), ("failed", 2, []), ("failed", 0, ["broke"])]
)
@pytest.mark.parametrize("days", [0, 60])
def test_only_a_fresh_failed_run_ends_a_rest(site, transactional_db, status, ended, expected, days):
    add_rule(add_channel(kind=PAGER), branches="")
    site.run(1, "failed", branch="shed")
    rest(site)
    site.skip(days * DAY)
    list(drop_idle_standings())
    site.run(2, status, branch="shed", ended=ended * HOUR)
    assert sent() == ["broke", "fixed", *expected]


def test_the_watch_ends_incidents_before_it_forgets_their_branches(site, transactional_db):
    add_rule(add_channel(kind=PAGER), branches="")
    site.run(1, "failed", branch="shed")
    site.skip(91 * DAY)
    [forget] = [task for task in all_tasks() if task.name == "forget"]
    list(forget.run(FakeLease()))
    assert not Standing.objects.exists()
    assert Notification.objects.last().key.startswith("rests:")


@pytest.mark.parametrize("failures", [1, 2])
def test_a_canceled_run_of_a_forgotten_branch_brings_no_old_breakage_back(site, failures):
    add_channel()
    for number in range(1, failures + 1):
        site.run(number, "failed", branch="shed")
    site.skip(91 * DAY)
    list(drop_idle_standings())
    add_rule(branches="", after_failures=failures)
    site.run(9, "canceled", branch="shed")
    assert Standing.objects.get().failures == failures
    assert sent() == []


def test_unsigned_runs_do_not_raise_the_failures_of_a_signed_branch(site, settings):
    settings.CIRCLECI_WEBHOOK_SECRETS |= {"lab": None}
    add_rule(add_channel(kind=PAGER), after_failures=3)
    site.run(1, "failed")
    for number in (2, 3, 4):
        site.run(number, "failed", webhook_slug="lab")
    assert sent() == []
    for number in (5, 6):
        site.run(number, "failed")
    assert sent() == ["broke"]


@pytest.mark.parametrize("after_failures", [1, 2])
@pytest.mark.parametrize("allow_unverified", [True, False])
def test_a_signed_failure_is_reported_although_unsigned_runs_had_failed(
    site, settings, after_failures, allow_unverified
):
    settings.CIRCLECI_WEBHOOK_SECRETS |= {"lab": None}
    add_rule(add_channel(), after_failures=after_failures, allow_unverified=allow_unverified)
    for number in (1, 2, 3):
        site.run(number, "failed", webhook_slug="lab")
    assert sent() == (["broke"] if allow_unverified else [])
    for number in (4, 5, 6):
        site.run(number, "failed")
    assert sent() == ["broke"]


def test_the_incident_of_a_resting_branch_ends_once_and_says_why(site):
    add_rule(add_channel(kind=PAGER), add_channel("chat"))
    site.run(1, "failed")
    site.skip(29 * DAY)
    list(reminding.end_resting(FakeLease()))
    assert sent() == ["broke"]
    site.skip(DAY)
    for _ in range(2):
        list(reminding.end_resting(FakeLease()))
    assert (sent("ops"), sent("chat")) == (["broke", "fixed"], ["broke"])
    content = compose(Notification.objects.last())
    assert content.headline == "build-and-test no longer runs on main"
    assert dict(content.facts)["State"].endswith(", but there was no run for 30 days")
    assert Standing.objects.get().tone == "bad"
    site.run(2, "success")
    assert sent() == ["broke", "fixed"]


# Digests.


def test_a_digest_counts_each_kind_of_message(site):
    channel = add_channel()
    add_rule(remind_every_hours=2)
    add_rule(subject="runs", branches="shed")
    site.run(1, "failed", wait=3 * HOUR)
    site.run(2, "success")
    site.run(1, "success", branch="shed")
    digest = Notification.objects.create(channel=channel, kind="digest", key="digest", expires_at=datetime.now(UTC))
    Notification.objects.exclude(pk=digest.pk).update(merged_into=digest)
    content = compose(digest)
    assert content.headline == "4 messages: 1 broke, 1 fixed, 1 still broken, 1 run"
    assert [what for _, what in content.facts] == [
        "broke on main",
        "still broken on main",
        "fixed on main",
        "build-and-test: success on shed",
    ]


# The rule that a migration adds.


def add_first_rule():
    apps = MigrationExecutor(connection).loader.project_state(("logs", "0016_first_rule")).apps
    import_module("logs.migrations.0016_first_rule").add_rule(apps, SimpleNamespace(connection=connection))


def test_a_site_with_channels_reports_as_before_it_had_rules(site):
    add_channel()
    add_channel("off", enabled=False)
    add_first_rule()
    rule = Rule.objects.get()
    assert (rule.name, rule.enabled, rule.subject, rule.branches) == ("Default branches", True, "changes", "<default>")
    assert (rule.on_broke, rule.on_fixed, rule.after_failures) == (True, True, 1)
    assert sorted(rule.channels.values_list("name", flat=True)) == ["off", "ops"]
    site.run(1, "failed")
    site.run(1, "failed", branch="shed")
    site.run(2, "success")
    assert (sent(), sent("off")) == (["broke", "fixed"], [])


def test_the_migration_keeps_its_rule_if_it_runs_again():
    add_channel()
    add_first_rule()
    Rule.objects.get().channels.clear()
    add_first_rule()
    assert not Rule.objects.get().channels.exists()


def test_a_new_site_has_no_rule():
    add_first_rule()
    assert not Rule.objects.exists()
