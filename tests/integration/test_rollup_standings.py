"""The rollups tell since which run a workflow is broken on a default branch, whatever arrives late or goes."""

import pytest

from logs.insights.counting import refresh
from logs.models import Standing, WorkflowEvent
from tests.integration.rollup_history import HOUR, MINUTE, NOW, count_all, counted_in_python, kept, log_run

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("webhook_secrets")]


def test_a_run_of_an_hour_not_yet_counted_changes_how_its_branch_stands(clock):
    log_run("broken", status="failed")
    list(refresh())
    log_run("before", 5 * HOUR, status="failed", changed_at=NOW)
    count_all()
    assert kept() == counted_in_python()
    assert Standing.objects.get().broken_since.event_id == "run-before"


def test_a_branch_that_was_mended_and_broke_again_is_broken_since_then(clock):
    log_run("broke", 3 * HOUR, status="failed")
    count_all()
    log_run("mended", 2 * MINUTE, changed_at=NOW)
    log_run("again", MINUTE, changed_at=NOW, status="failed")
    log_run("and again", changed_at=NOW, status="failed")
    list(refresh())
    assert Standing.objects.get().broken_since.event_id == "run-again"


def test_of_runs_that_arrived_in_one_moment_the_first_logged_is_the_first(clock):
    for number, status in enumerate(["failed", "success", "failed", "failed"]):
        log_run(number, status=status)
    count_all()
    assert Standing.objects.get().broken_since.event_id == "run-2"
    assert kept() == counted_in_python()


def test_a_standing_whose_first_failure_is_gone_is_found_out_anew(clock):
    for age in (9, 8):
        log_run(age, age * HOUR, status="failed")
    count_all()
    WorkflowEvent.objects.filter(event_id="run-9").delete()
    log_run("new", status="failed")
    list(refresh())
    assert Standing.objects.get().broken_since.event_id == "run-8"
