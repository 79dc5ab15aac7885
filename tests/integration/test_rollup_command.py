"""`manage.py rollup` counts, tells how much, and may be stopped and run again at any time."""

import io
import itertools
import re
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.core.management import call_command
from rich.console import Console

from logs.insights import counting
from logs.insights.counting import CountedElsewhere, coverage
from logs.management.commands import rollup as command
from logs.models import HourlyStatus, RollupState, Standing, WorkflowEvent

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 5, 4, 10, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
numbers = itertools.count()


@pytest.fixture(autouse=True)
def clock():
    with time_machine.travel(NOW, tick=False) as clock:
        yield clock


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(counting, "LOCK_PAUSE_SECONDS", 0)


def rollup(*arguments):
    """Run the command and return what it tells, without the seconds."""
    output = io.StringIO()
    try:
        call_command("rollup", *arguments, stdout=output)
    finally:
        told = re.sub(r" in \d+\.\d s;", ";", output.getvalue()).splitlines()
    return told


def log_hours(*ages, **columns):
    for age in ages:
        moment = datetime.now(UTC) - age * HOUR
        WorkflowEvent.objects.create(
            event_id=f"run-{next(numbers)}",
            event_type="workflow-completed",
            project_slug="gh/acme/orchard",
            workflow="build",
            received_at=moment,
            changed_at=datetime.now(UTC),
            verified=True,
            **{"branch": "main", "status": "failed"} | columns,
        )


def test_tells_what_was_counted_and_how_far_the_figures_reach():
    log_hours(0, 1, 5, 5, 5)
    assert rollup() == ["3 hours with 5 events counted; the figures start at 2026-05-04 05:00 UTC."]


def test_an_empty_log_is_no_error():
    assert rollup() == ["0 hours with 0 events counted; the figures start at 2026-05-04 10:00 UTC."]


def test_the_next_run_counts_only_what_was_written_since(clock):
    log_hours(0, 1, 5)
    rollup()
    clock.shift(HOUR)
    rollup()
    clock.shift(HOUR)
    log_hours(0)
    assert rollup() == ["1 hours with 1 events counted; the figures start at 2026-05-04 05:00 UTC."]


def test_counts_anew_and_leaves_the_standings_to_the_watch():
    log_hours(0, 1)
    standing = Standing.objects.create(project_slug="gh/acme/orchard", workflow="build", branch="main", tone="good")
    rollup()
    WorkflowEvent.objects.update(status="error", changed_at=NOW - 9 * HOUR)
    assert rollup("--anew") == ["2 hours with 2 events counted; the figures start at 2026-05-04 09:00 UTC."]
    assert set(HourlyStatus.objects.values_list("status", flat=True)) == {"error"}
    assert Standing.objects.get() == standing


def interrupt_after(hours, error):
    """Return the steps of going back that end so."""

    def steps(counted):
        for number, hour in enumerate(counted):
            if number == hours:
                raise error
            yield hour

    return steps


@pytest.mark.parametrize("arguments", [[], ["--anew"]])
def test_ctrl_c_ends_between_two_hours_and_the_next_run_goes_on(monkeypatch, arguments):
    log_hours(0, 1, 2, 3)
    WorkflowEvent.objects.update(changed_at=None)
    with monkeypatch.context() as patched:
        patched.setattr(command, "with_pauses", interrupt_after(2, KeyboardInterrupt))
        output = io.StringIO()
        with pytest.raises(SystemExit) as end:
            call_command("rollup", *arguments, stdout=output)
    assert end.value.code == 130
    assert output.getvalue().startswith("2 hours with 2 events counted")
    assert output.getvalue().splitlines()[1] == "Stopped. Counted hours stay counted. Run it again for the rest."
    # The third hour was counted and committed before the interruption; only what was told lacks it.
    assert coverage()[0] == NOW.replace(minute=0) - 2 * HOUR
    assert rollup()[0].endswith("the figures start at 2026-05-04 07:00 UTC.")


def test_says_so_when_another_run_is_counting(monkeypatch):
    def refuse(now):
        raise CountedElsewhere

    rollup()
    monkeypatch.setattr(counting, "_begin", refuse)
    assert rollup() == [
        "0 hours with 0 events counted; the figures start at 2026-05-04 10:00 UTC.",
        "Another run is counting and will count the rest.",
    ]


def test_says_so_when_it_could_not_even_begin(monkeypatch):
    def refuse(now):
        raise CountedElsewhere

    monkeypatch.setattr(counting, "_begin", refuse)
    assert rollup()[0] == "0 hours with 0 events counted; there are no figures yet."
    assert not RollupState.objects.exists()


def test_a_terminal_is_shown_how_far_it_has_come(monkeypatch):
    log_hours(0, 1, 9)
    WorkflowEvent.objects.update(changed_at=None)
    terminal = io.StringIO()
    monkeypatch.setattr(command, "Console", lambda **_: Console(file=terminal, force_terminal=True, width=100))
    rollup()
    assert "Never counted" in terminal.getvalue()
    assert terminal.getvalue().count("100%") >= 2


def test_nothing_but_the_account_is_written_where_there_is_no_terminal(capfd):
    log_hours(0, 1)
    call_command("rollup")
    out, err = capfd.readouterr()
    assert len(out.splitlines()) == 1
    assert err == ""
