"""`manage.py tail` shows each event once, as it is written, and nothing but lines when it is piped."""

import random
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from logs.circleci import samples
from logs.ingest.replay import replay
from logs.management.filtering import require_known_words
from logs.models import Delivery, WorkflowEvent
from logs.models.written import events_written_after, log_end
from logs.reading.stream.changes import Following
from tests.plans import analyze, assert_reads_little, plan_of

pytestmark = pytest.mark.django_db


class Terminal(StringIO):
    """A file that says it is a terminal."""

    def isatty(self):
        return True


@pytest.fixture
def tail(monkeypatch):
    """Run the command, with a step between any two looks, and return what it writes; Ctrl-C ends it after the last."""
    for name in ("FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)

    def run(*steps, arguments=(), out=None):
        out = out or StringIO()
        todo = iter(steps)

        def next_step(_seconds):
            step = next(todo, None)
            if step is None:
                raise KeyboardInterrupt
            step()

        monkeypatch.setattr("logs.management.commands.tail.time.sleep", next_step)
        with pytest.raises(KeyboardInterrupt):
            call_command("tail", *arguments, stdout=out)
        return out.getvalue()

    return run


def arrival(deliver, seed=1, **overrides):
    """Return a step in which an event arrives."""
    return lambda: deliver(samples.workflow_completed(random=random.Random(seed), **overrides))


def nothing():
    """Do nothing between two looks."""


def test_shows_what_arrives_and_nothing_older(tail, deliver):
    arrival(deliver, 1, project="before")()
    lines = tail(
        nothing, arrival(deliver, 2, project="first"), nothing, arrival(deliver, 3, project="second")
    ).splitlines()
    assert [line.split()[3] for line in lines] == ["first", "second"]


def test_an_event_is_one_line(tail, deliver):
    with time_machine.travel("2026-05-04 10:00", tick=False):
        shown = tail(arrival(deliver, 1, status="failed", duration_seconds=252, branch="wilma/boats"))
    subject = "build-and-test".ljust(34)
    assert shown == f"2026-05-04 10:00:00  failed        orchard          {subject} wilma/boats (4 min 12 s)\n"


def test_names_the_job_and_the_tag(tail, deliver):
    document = samples.job_completed(random=random.Random(1), job="lint", host=samples.Host.GITLAB, tag="v1")
    shown = tail(lambda: deliver(document))
    assert " build-and-test/lint " in shown
    assert " v1 (" in shown


def test_begins_where_it_is_told(tail, deliver):
    for hours, project in ((3, "too-old"), (1, "wanted")):
        with time_machine.travel(datetime.now(UTC) - timedelta(hours=hours)):
            arrival(deliver, hours, project=project)()
    lines = tail(arrival(deliver, 9, project="new"), nothing, arguments=["--since", "2h"]).splitlines()
    assert [line.split()[3] for line in lines] == ["wanted", "new"]


def test_keeps_to_the_filters(tail, deliver):
    steps = [
        arrival(deliver, 1),
        arrival(deliver, 2, project="boats"),
        arrival(deliver, 3, project="boats", status="failed"),
    ]
    shown = tail(*steps, nothing, arguments=["--project", "boats", "--status", "failed,error"])
    assert [line.split()[2:4] for line in shown.splitlines()] == [["failed", "boats"]]


def test_shows_a_newer_version_of_an_event_again(tail, deliver):
    first = samples.workflow_completed(random=random.Random(1), status="canceled")
    again = first | {"happened_at": "2090-01-01T00:00:00Z"}
    assert len(tail(lambda: deliver(first), lambda: deliver(again), lambda: deliver(first), nothing).splitlines()) == 2


def test_misses_nothing_that_is_committed_late(tail, deliver):
    def commit_late():
        arrival(deliver, 2, project="late")()
        before = timezone.now() - timedelta(seconds=55)
        WorkflowEvent.objects.filter(project="late").update(changed_at=before)

    lines = tail(arrival(deliver, 1, project="early"), commit_late, nothing).splitlines()
    assert [line.split()[3] for line in lines] == ["early", "late"]


# Clocks that were set back, and clocks that differ.


@pytest.fixture
def clock():
    with time_machine.travel("2026-05-04 10:00", tick=False) as clock:
        yield clock


def shown_projects(output):
    return [line.split()[3] for line in output.splitlines()]


@pytest.mark.parametrize("back", [timedelta(minutes=2), timedelta(hours=1), timedelta(days=400)])
def test_shows_what_arrives_after_the_clock_was_set_back(tail, deliver, clock, back):
    arrival(deliver, 9, project="before")()
    output = tail(
        arrival(deliver, 1, project="first"),
        lambda: clock.shift(-back),
        arrival(deliver, 2, project="second"),
        nothing,
        arrival(deliver, 3, project="third"),
        nothing,
        lambda: clock.shift(back),
        arrival(deliver, 4, project="fourth"),
        nothing,
    )
    assert shown_projects(output) == ["first", "second", "third", "fourth"]


def test_shows_what_a_host_with_a_slow_clock_writes(tail, deliver, clock):
    def arrive_there(seed, project):
        def arrive():
            clock.shift(timedelta(seconds=-600))
            arrival(deliver, seed, project=project)()
            clock.shift(timedelta(seconds=601))

        return arrive

    steps = [arrival(deliver, 1, project="here"), arrive_there(2, "there"), arrival(deliver, 3, project="here")]
    assert shown_projects(tail(*steps, arrive_there(4, "there"), nothing)) == ["here", "there", "here", "there"]


def test_begins_at_the_present_though_the_log_holds_times_of_the_future(tail, deliver, clock):
    with time_machine.travel("2090-01-01"):
        arrival(deliver, 1, project="future")()
    assert shown_projects(tail(arrival(deliver, 2, project="present"), nothing)) == ["present"]


def test_shows_a_newer_version_after_the_clock_was_set_back_and_no_duplicate(tail, deliver, clock):
    first = samples.workflow_completed(random=random.Random(1), status="canceled", happened_at=timezone.now())
    newer = first | {"happened_at": (timezone.now() + timedelta(seconds=1)).isoformat()}

    def again(document):
        return lambda: deliver(document)

    deliver(first)
    output = tail(lambda: clock.shift(timedelta(hours=-1)), again(first), again(newer), again(newer), again(first))
    assert [line.split()[:2] for line in output.splitlines()] == [["2026-05-04", "09:00:00"]]


def test_shows_what_a_replay_writes_after_the_clock_was_set_back(tail, deliver, clock):
    document = samples.workflow_completed(random=random.Random(1), happened_at=timezone.now())
    deliver(document)
    deliver(samples.workflow_completed(random=random.Random(2)), secret="wrong")
    logged, refused = Delivery.objects.order_by("pk")

    def replayed(delivery):
        return lambda: replay(delivery.pk, actor="somebody")

    steps = [lambda: clock.shift(timedelta(hours=-1)), replayed(logged), replayed(refused), nothing]
    assert len(tail(*steps).splitlines()) == 1  # The read version again; the refused one stays refused.


def test_misses_nothing_that_is_committed_late_by_a_host_with_a_slow_clock(tail, clock):
    def write(pk):
        changed_at = timezone.now() - timedelta(hours=pk)
        return lambda: WorkflowEvent.objects.create(
            pk=pk,
            event_id=f"event-{pk}",
            project=f"of-{pk}",
            received_at=changed_at,
            changed_at=changed_at,
            verified=True,
        )

    assert shown_projects(tail(write(5), nothing, write(3), nothing, write(4), nothing)) == ["of-5", "of-3", "of-4"]


@pytest.fixture
def many_updates():
    """A log of thousands of deliveries that have all updated an event."""
    now = timezone.now()
    event = WorkflowEvent.objects.create(event_id="one", received_at=now, changed_at=now, verified=True)
    columns = {"received_at": now, "judged_at": now, "verified": True, "plausible": True, "headers": {}, "body": b""}
    Delivery.objects.bulk_create(Delivery(outcome="updated", event=event, **columns) for _ in range(3_000))
    analyze()


def test_reads_only_what_was_written_after_an_end_of_the_log(many_updates):
    with CaptureQueriesContext(connection) as captured:
        assert list(WorkflowEvent.objects.filter(pk__in=events_written_after(log_end()))) == []
    _, query = captured.captured_queries
    if connection.vendor == "sqlite":
        assert "delivery_outcome_newest" not in plan_of(query["sql"])
        assert "SCAN logs" not in plan_of(query["sql"])
    else:
        assert_reads_little(query["sql"], "")


# What it costs, and how it looks.


def test_a_look_costs_the_same_however_many_events_the_filters_leave_out(deliver, django_assert_num_queries):
    following = Following(WorkflowEvent.objects.filter(project="nobody"), datetime(2026, 1, 1, tzinfo=UTC))
    with time_machine.travel("2026-05-04 10:00"):
        arrival(deliver)()
    with django_assert_num_queries(4) as queries:
        assert not list(following.poll())
    with django_assert_num_queries(4) as queries:
        assert not list(following.poll())
    assert "2026-05-04 09:5" in queries[-1]["sql"]


def test_colours_and_the_bell_are_for_terminals(tail, deliver):
    failure = arrival(deliver, 1, status="failed")
    on_terminal = tail(failure, arguments=["--bell"], out=Terminal())
    assert "\x1b[1;31mfailed" in on_terminal
    assert on_terminal.endswith("\n\a")
    WorkflowEvent.objects.all().delete()
    piped = tail(failure, arguments=["--bell"])
    assert all(character.isprintable() or character == "\n" for character in piped)


@pytest.mark.parametrize(("status", "arguments"), [("success", ["--bell"]), ("canceled", ["--bell"]), ("failed", [])])
def test_the_bell_rings_for_failures_and_if_asked(tail, deliver, status, arguments):
    assert "\a" not in tail(arrival(deliver, 1, status=status), arguments=arguments, out=Terminal())


def test_colours_can_be_switched_off(tail, deliver):
    shown = tail(arrival(deliver, 1, status="failed"), arguments=["--no-color"], out=Terminal())
    assert "\x1b[" not in shown.replace("\x1b[1m", "").replace("\x1b[0m", "")


def test_an_event_cannot_rewrite_the_terminal(tail, deliver):
    hostile = "\x1b[2J\n\u202e[red]boats"
    shown = tail(arrival(deliver, 1, project=hostile, branch=hostile, workflow=hostile, status=hostile))
    assert shown.count("??") == 4
    assert shown.count("\n") == 1
    assert shown.count("?[2J??[red]boats") == 4


def test_a_long_line_is_not_broken(tail, deliver):
    assert tail(arrival(deliver, 1, branch="b" * 200)).count("\n") == 1


def test_names_a_filter_that_cannot_be_understood():
    with pytest.raises(CommandError, match="--status: A value is missing before, after or between commas"):
        call_command("tail", "--status", ",")
    with pytest.raises(CommandError, match="--event-type: Ensure this value has at most 500 characters"):
        call_command("tail", "--event-type", "x" * 501)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--status", "faild"], "--status: 'faild' is unknown: did you mean failed?"),
        (["--status", "failed, cancelled"], "--status: 'cancelled' is unknown: did you mean canceled?"),
        (["--event-type", "job"], "--event-type: 'job' is unknown: did you mean job-completed?"),
    ],
)
def test_a_word_that_neither_circleci_nor_the_log_has_is_an_error(tail, arguments, told):
    with pytest.raises(CommandError) as raised:
        tail(nothing, arguments=arguments)
    assert (str(raised.value), raised.value.returncode) == (told, 2)


@pytest.mark.parametrize("status", ["failed", "infrastructure_fail", "failed,on_hold"])
def test_words_of_circleci_are_accepted_by_an_empty_log(tail, status):
    assert tail(nothing, arguments=["--status", status, "--event-type", "job-completed"]) == ""


def test_words_that_circleci_has_added_are_accepted_once_the_log_has_them(tail, deliver):
    document = samples.workflow_completed(random=random.Random(1), status="faild") | {"type": "workflow-paused"}
    deliver(document)
    assert tail(nothing, arguments=["--status", "faild", "--event-type", "workflow-paused"]) == ""


def test_words_are_looked_up_in_indexes(deliver):
    arrival(deliver)()
    analyze()
    with CaptureQueriesContext(connection) as captured:
        require_known_words({"event_type": "workflow-completed", "status": "failed"})  # Known without the log.
    assert not captured.captured_queries
    for name, index in (("status", "event_status_newest"), ("event_type", "event_newest")):
        with CaptureQueriesContext(connection) as captured, pytest.raises(CommandError):
            require_known_words({name: "nonsense"})
        (query,) = captured.captured_queries
        assert "LIMIT" in query["sql"]
        assert_reads_little(query["sql"], index)


def test_says_that_the_database_is_away(tail, monkeypatch):
    def away():
        raise OperationalError("the connection is closed")

    with pytest.raises(CommandError, match="the database failed: the connection is closed"):
        tail(away)


def test_the_help_ends_with_examples(capsys):
    with pytest.raises(SystemExit):
        call_command("tail", "--help")
    shown = capsys.readouterr().out
    assert "examples:\n  manage.py tail\n" in shown
    for option in ("--project", "--workflow", "--status", "--branch", "--event-type", "--since", "--bell"):
        assert option in shown
