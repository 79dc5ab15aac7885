"""`manage.py tail` shows each event once, as it is written, and nothing but lines when it is piped."""

import random
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.db import OperationalError
from django.utils import timezone

from logs.circleci import samples
from logs.models import WorkflowEvent
from logs.reading.following import Following

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


def test_a_look_costs_the_same_however_many_events_the_filters_leave_out(deliver, django_assert_num_queries):
    following = Following(WorkflowEvent.objects.filter(project="nobody"), datetime(2026, 1, 1, tzinfo=UTC))
    with time_machine.travel("2026-05-04 10:00"):
        arrival(deliver)()
    with django_assert_num_queries(2) as queries:
        assert not list(following.look())
    with django_assert_num_queries(2) as queries:
        assert not list(following.look())
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
    with pytest.raises(CommandError, match="--status: There is nothing before, after or between commas"):
        call_command("tail", "--status", ",")


def test_says_that_the_database_is_away(tail, monkeypatch):
    def away():
        raise OperationalError("the connection is closed")

    with pytest.raises(CommandError, match="the database is away: the connection is closed"):
        tail(away)


def test_the_help_ends_with_examples(capsys):
    with pytest.raises(SystemExit):
        call_command("tail", "--help")
    shown = capsys.readouterr().out
    assert "examples:\n  manage.py tail\n" in shown
    for option in ("--project", "--workflow", "--status", "--branch", "--event-type", "--since", "--bell"):
        assert option in shown
