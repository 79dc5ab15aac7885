"""The trial of a rule lists the messages that the watch would have sent, and writes nothing."""

import io
import random
from datetime import UTC, datetime

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from logs.models import Channel, Notification, Rule, WorkflowEvent
from logs.notifications import reminding, trying
from logs.notifications.trying import try_rule
from tests.integration.rules_for_tests import add_rule
from tests.integration.standings_log import DAY, HOUR, MINUTE, log_run
from tests.integration.test_rules import Site, log_job
from tests.plans import analyze, assert_reads_little

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("webhook_secrets")]

RUNS = 200
RULES = {
    "default branches": {"branches": "<default>"},
    "three failures, with reminders": {"branches": "", "after_failures": 3, "remind_every_hours": 1},
    "fixes only, not of main": {"branches": "!main", "on_broke": False, "authors": "Wilma*"},
    "unsigned, without the end": {"branches": "*", "on_fixed": False, "allow_unverified": True, "workflows": "!deploy"},
    "each failed run": {"subject": "runs", "branches": "", "statuses": ["failed", "error"], "projects": "!*/harbour"},
}


def add_channels(prefix=""):
    kinds = {"ops": "slack", "pager": "pagerduty"}
    return [Channel.objects.create(name=prefix + name, kind=kind) for name, kind in kinds.items()]


def log_random_run(chance, number):
    """Log a run: most in order, some late, of an older pipeline, unsigned, or without a verdict."""
    options = {
        "branch": chance.choice(["main", "main", "shed", "release/1"]),
        "workflow": chance.choice(["build", "deploy"]),
        "project": chance.choice(["orchard", "harbour"]),
        "ended": chance.choice([0, 0, 0, 1, 2]) * chance.choice([MINUTE, 40 * MINUTE]),
        "commit_subject": f"Run {number}",
        "webhook_slug": chance.choice(["", "", "", "lab"]),
    }
    late = chance.choice([0, 0, 0, 5, 20])
    log_run(
        number - late,
        chance.choice(["success", "success", "failed", "failed", "failed", "canceled", "error"]),
        **options,
    )


def delivered(channels):
    """Return what was sent over these channels, as `listed` does."""
    found = {}
    for each in Notification.objects.filter(channel__in=channels).select_related("channel").order_by("pk"):
        subject = each.key.rpartition(":")[0]
        found.setdefault(subject, (each.kind, None if each.kind == "reminder" else each.event_id, []))[2].append(
            each.channel.name
        )
    events = {}
    for kind, key, names in found.values():
        events.setdefault(kind, []).append((key, sorted(names)))
    return {kind: sorted(rows, key=str) for kind, rows in events.items()}


def listed(trial):
    """Return the messages of a trial by kind: the events, and the names of the channels."""
    events = {}
    for message in trial.messages:
        key = message.event_id if message.kind != "reminder" else None
        events.setdefault(message.kind, []).append((key, sorted(message.channels)))
    return {kind: sorted(rows, key=str) for kind, rows in events.items()}


def test_a_trial_lists_what_was_sent_live(clock, settings):
    settings.CIRCLECI_WEBHOOK_SECRETS |= {"lab": None}
    chance, site = random.Random(1), Site(clock)
    channels = {name: add_channels(f"{name}: ") for name in RULES}
    rules = {name: add_rule(*channels[name], name=name, **columns) for name, columns in RULES.items()}
    for number in range(100, 100 + RUNS):
        log_random_run(chance, number)
        site.check()
        site.skip(chance.choice([1, 5, 15]) * MINUTE)
        site.check()
    for name, rule in rules.items():
        trial = try_rule(rule, channels[name], now=datetime.now(UTC))
        assert trial.runs == RUNS
        assert len(trial.messages) > 5
        assert listed(trial) == delivered(channels[name])
        assert trial.messages_sent == Notification.objects.filter(channel__in=channels[name]).count()


def test_writes_nothing(clock, settings):
    settings.CIRCLECI_WEBHOOK_SECRETS |= {"lab": None}
    chance = random.Random(1)
    channels = add_channels()
    for number in range(100, 150):
        log_random_run(chance, number)
    counts = {model: model.objects.count() for model in apps.get_app_config("logs").get_models()}
    for columns in RULES.values():
        with CaptureQueriesContext(connection) as captured:
            assert try_rule(Rule(name="new", **columns), channels, now=datetime.now(UTC)).messages
        assert [query["sql"].split()[0] for query in captured] == ["SELECT"]
    assert counts == {model: model.objects.count() for model in counts}


def test_a_message_names_its_run_and_its_channels(clock):
    event_id = log_run(7, "failed")
    event = WorkflowEvent.objects.get(event_id=event_id)
    [message] = try_rule(Rule(branches="<default>"), add_channels(), now=datetime.now(UTC)).messages
    assert (message.kind, message.event_id, message.channels) == ("broke", event.pk, ["ops", "pager"])
    assert (message.project, message.workflow, message.branch) == ("orchard", "build-and-test", "main")
    assert (message.pipeline_number, message.revision) == (7, event.revision)
    assert (message.author, message.happened_at) == ("Wilma Quince", event.stopped_at)


def test_messages_are_listed_newest_first_and_count_per_channel(clock):
    for number, status in enumerate(["failed", "success", "failed"], 1):
        log_run(number, status)
        clock.shift(MINUTE)
    trial = try_rule(Rule(), add_channels(), now=datetime.now(UTC))
    assert [message.kind for message in trial.messages] == ["broke", "fixed", "broke"]
    assert (trial.messages_sent, trial.runs) == (6, 3)


def test_a_rule_without_channels_lists_its_messages(clock):
    log_run(1, "failed")
    trial = try_rule(Rule(), [], now=datetime.now(UTC))
    assert (len(trial.messages), trial.messages_sent) == (1, 0)


def test_a_rule_on_jobs_is_tried_on_jobs(clock):
    log_run(1, "failed")
    log_job("lint", "failed")
    trial = try_rule(Rule(subject="jobs"), add_channels(), now=datetime.now(UTC))
    assert [(message.kind, message.channels) for message in trial.messages] == [("job", ["ops"])]


def test_a_rule_on_the_log_lists_nothing(clock, django_assert_num_queries):
    log_run(1, "failed")
    with django_assert_num_queries(0):
        assert try_rule(Rule(subject="log"), [], now=datetime.now(UTC)).messages == []


def test_only_the_last_seven_days_count(clock):
    now = datetime.now(UTC)
    log_run(1, "failed")
    clock.shift(8 * DAY)
    log_run(2, "failed", branch="master")
    trial = try_rule(Rule(), [], now=datetime.now(UTC))
    assert ([message.branch for message in trial.messages], trial.runs) == (["master"], 1)
    assert trial.since > now


def test_a_trial_says_since_when_if_it_reads_only_the_newest_runs(clock, monkeypatch):
    monkeypatch.setattr(trying, "MOST_RUNS", 3)
    for number in range(1, 6):
        log_run(number, "failed", branch=f"branch-{number}")
        clock.shift(HOUR)
    trial = try_rule(Rule(), [], now=datetime.now(UTC))
    assert [message.pipeline_number for message in trial.messages] == [5, 4, 3]
    assert (trial.runs, trial.since) == (3, WorkflowEvent.objects.get(pipeline_number=3).received_at)


def test_reminders_end_when_a_branch_rests_and_go_on_when_it_runs_again(clock):
    log_run(1, "failed")
    clock.shift(40 * DAY)
    rule, channels = Rule(remind_every_hours=24), add_channels()

    def reminders():
        found = try_rule(rule, channels, now=datetime.now(UTC), period=60 * DAY).messages
        return [message.kind for message in found].count("reminder")

    assert reminders() == reminding.RESTING_AFTER.days
    log_run(2, "failed")
    clock.shift(2 * DAY)
    assert reminders() == reminding.RESTING_AFTER.days + 2


def test_runs_are_read_from_an_index_although_most_events_are_jobs(clock):
    now = datetime.now(UTC)
    WorkflowEvent.objects.bulk_create(
        WorkflowEvent(
            event_id=f"event-{number}",
            event_type="job-completed" if number % 10 else "workflow-completed",
            job=f"job {number % 20}" if number % 10 else "",
            project_slug=f"github/acme/{number % 7}",
            workflow="build",
            branch="main",
            status="success",
            pipeline_number=number,
            received_at=now - number * MINUTE,
            verified=True,
        )
        for number in range(9_000)
    )
    analyze()
    with CaptureQueriesContext(connection) as captured:
        assert try_rule(Rule(), [], now=now).runs == 900
    assert_reads_little(
        captured[0]["sql"], "event_job_newest", is_range=True, most=3_000
    )  # Also entries that earlier tests left.


class TestCommand:
    """``manage.py try_rule`` prints the same."""

    @pytest.fixture
    def rule(self, clock):
        add_channels()
        for number, status in enumerate(["failed", "success"], 1):
            log_run(number, status)
            clock.shift(DAY)
        return add_rule(name="main")

    @staticmethod
    def run(*arguments):
        output = io.StringIO()
        call_command("try_rule", *arguments, stdout=output)
        return output.getvalue().splitlines()

    def test_lists_the_messages_and_counts_them(self, rule):
        fixed, broke, count = self.run("main")
        assert "orchard · build-and-test  fixed on main  #2" in fixed
        assert "orchard · build-and-test  broke on main  #1" in broke
        assert broke.endswith("Wilma Quince  → ops, pager")
        assert count.startswith("4 messages in 2 runs since ")

    def test_a_shorter_period(self, rule):
        assert self.run("main", "--days", "1")[-1].startswith("0 messages in 1 run since ")

    def test_a_rule_on_jobs(self, clock):
        add_channels()
        log_job("lint", "failed")
        clock.shift(HOUR)
        add_rule(name="jobs", subject="jobs")
        assert self.run("jobs")[-1].startswith("1 message in 1 job since ")

    @pytest.mark.parametrize("days", ["0", "366", "1000000", "week"])
    def test_a_period_out_of_range(self, rule, days):
        with pytest.raises(CommandError, match="--days: "):
            self.run("main", "--days", days)

    def test_an_unknown_rule(self, rule):
        with pytest.raises(CommandError, match="there is no rule 'other'; rules: 'main'") as error:
            self.run("other")
        assert error.value.returncode == 2
