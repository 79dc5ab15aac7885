"""A page counts what is new before it shows figures, within bounds, and goes on where that fails."""

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext

from logs.insights import counting
from logs.insights.counting import backfill, is_stale, refresh_if_stale, with_pauses
from tests.integration.rollup_history import (
    HOUR,
    MINUTE,
    NOW,
    SECOND,
    count_all,
    counted_hours,
    counted_in_python,
    hours_ago,
    kept,
    log_run,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("webhook_secrets")]


@pytest.mark.usefixtures("large_log")
def test_a_page_counts_when_the_figures_are_older_than_a_minute(clock):
    assert is_stale()
    refresh_if_stale()
    assert not is_stale()
    log_run("new", changed_at=NOW + 30 * SECOND)
    clock.shift(MINUTE)
    refresh_if_stale()
    assert counted_hours() == []
    clock.shift(SECOND)
    assert is_stale()
    refresh_if_stale()
    assert counted_hours() == hours_ago(0)
    assert not is_stale()


def test_a_page_counts_a_bounded_number_of_hours(clock):
    count_all()
    for age in range(50):
        log_run(age, age * HOUR, changed_at=NOW + (60 - age) * SECOND)
    clock.shift(2 * HOUR)
    refresh_if_stale()
    assert len(counted_hours()) == counting.MAX_HOURS_OF_A_PAGE
    assert is_stale()
    while is_stale():
        refresh_if_stale()
    assert kept() == counted_in_python()


def test_a_page_counts_each_event_of_a_small_log(clock):
    count_all()
    log_run("new", changed_at=NOW)
    log_run("newer", changed_at=NOW)
    assert not is_stale()
    refresh_if_stale()
    assert counted_hours() == hours_ago(0)
    assert kept() == counted_in_python()
    with CaptureQueriesContext(connection) as again:
        refresh_if_stale()
    assert len(again) == 5
    assert not [query for query in again if not query["sql"].strip().startswith("SELECT")]


def test_what_another_page_counts_meanwhile_is_not_counted_again(clock, monkeypatch):
    count_all()
    clock.shift(SECOND)
    log_run("new", changed_at=NOW)
    lock, recount, recounted = counting._locked_state, counting.recount, []  # noqa: SLF001 - the moment before it

    def locked_state():
        monkeypatch.setattr(counting, "_locked_state", lock)
        refresh_if_stale()
        return lock()

    monkeypatch.setattr(counting, "_locked_state", locked_state)
    monkeypatch.setattr(counting, "recount", lambda hour: recounted.append(hour) or recount(hour))
    refresh_if_stale()
    assert len(recounted) == 1
    assert kept() == counted_in_python()


def test_a_page_counts_the_older_hours_of_a_small_log_that_was_never_counted(clock):
    for age in range(counting.MAX_HOURS_OF_A_PAGE - 1):
        log_run(age, age * HOUR, changed_at=NOW - age * HOUR)
    refresh_if_stale()
    assert kept() == counted_in_python()


def test_a_page_does_not_count_a_log_that_has_grown(clock, monkeypatch):
    monkeypatch.setattr(counting, "SMALL_LOG", 2)
    count_all()
    for name in ("a", "b"):
        log_run(name, changed_at=NOW)
    refresh_if_stale()
    assert kept() == counted_in_python()
    log_run("c", changed_at=NOW)
    refresh_if_stale()
    assert kept() != counted_in_python()


@pytest.mark.parametrize("broken", ["is_stale", "refresh"])
def test_a_page_goes_on_when_the_database_refuses(clock, monkeypatch, caplog, broken):
    def refuse(*_):
        raise OperationalError("database is locked")

    monkeypatch.setattr(counting, broken, refuse)
    refresh_if_stale()
    assert "could not be refreshed" in caplog.text


def test_pauses_let_a_waiting_writer_in(clock, monkeypatch):
    pauses = []
    monkeypatch.setattr(counting.time, "sleep", pauses.append)
    monkeypatch.setattr(counting, "WORK_SECONDS", 0)
    for age in range(4):
        log_run(age, age * HOUR)
    assert len(list(with_pauses(backfill()))) == 4
    assert len(pauses) == (4 if connection.vendor == "sqlite" else 0)
    # SQLite's writers try again every 100 ms at the latest.
    assert all(pause > 0.1 for pause in pauses)
