"""Older hours are counted from the newest to the oldest: whoever stops it loses nothing, and it can begin anew."""

import itertools

import pytest

from logs.insights import counting
from logs.insights.counting import backfill, coverage, forget, hours_to_count, refresh
from logs.insights.sums import recount
from logs.models import WorkflowEvent
from tests.integration.rollup_history import (
    HOUR,
    NOW,
    count_all,
    counted_hours,
    counted_in_python,
    hours_ago,
    kept,
    log_run,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("webhook_secrets")]


def test_going_back_may_stop_after_any_hour_and_go_on_later(clock):
    for age in range(8):
        log_run(age, age * HOUR)
    assert [counted.began_at for counted in itertools.islice(backfill(), 3)] == hours_ago(0, 1, 2)
    assert coverage()[0] == hours_ago(2)[0]
    assert hours_to_count() == 5
    assert [counted.began_at for counted in backfill()] == hours_ago(3, 4, 5, 6, 7)
    assert list(backfill()) == []
    assert kept() == counted_in_python()


def test_an_hour_that_could_not_be_counted_whole_is_not_counted_at_all(clock, monkeypatch):
    for age in range(3):
        log_run(age, age * HOUR)
    list(refresh())
    next(backfill())  # The present hour, whose sums stand already.
    before = kept(), coverage()

    def break_off(hour):
        recount(hour)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(counting, "recount", break_off)
        with pytest.raises(KeyboardInterrupt):
            next(backfill())
    assert (kept(), coverage()) == before
    count_all()
    assert kept() == counted_in_python()


def test_counting_anew_replaces_what_does_not_hold_any_longer(clock):
    for age in range(4):
        log_run(age, age * HOUR)
    count_all()
    WorkflowEvent.objects.filter(event_id__in=["run-0", "run-2", "run-3"]).delete()
    forget()
    assert counted_hours() == hours_ago(0, 1, 2, 3)
    count_all()
    assert counted_hours() == hours_ago(1)
    assert coverage() == (hours_ago(1)[0], NOW)


def test_an_interrupted_count_anew_goes_on_with_the_next_run(clock):
    for age in range(4):
        log_run(age, age * HOUR)
    count_all()
    WorkflowEvent.objects.update(status="failed")
    forget()
    list(itertools.islice(backfill(), 1))
    assert kept() != counted_in_python()
    count_all()
    assert kept() == counted_in_python()
