"""Several processes may count at once, while others write: in the end everything is counted, and nothing twice."""

import itertools
import random
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from threading import Event as Flag

import pytest
import time_machine
from django.db import connection, transaction

from logs.circleci import samples
from logs.ingest.pipeline import Arrival, authenticate, record
from logs.insights import counting
from logs.insights.counting import (
    CountedElsewhere,
    backfill,
    coverage,
    forget,
    refresh,
    refresh_if_stale,
    with_pauses,
)
from logs.models import RollupState
from tests.integration.rollup_history import (
    HOUR,
    NOW,
    SECRET,
    STATUSES,
    count_all,
    counted_hours,
    counted_in_python,
    kept,
    log_run,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("webhook_secrets")]


@pytest.fixture
def held_elsewhere():
    """Count on another connection, in the midst of an hour."""
    if connection.vendor == "sqlite":
        pytest.skip("SQLite locks no single rows")
    count_all()
    is_held, is_over = Flag(), Flag()

    def hold():
        try:
            with transaction.atomic():
                RollupState.objects.select_for_update().get()
                is_held.set()
                is_over.wait(timeout=10)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as elsewhere:
        holder = elsewhere.submit(hold)
        assert is_held.wait(timeout=3)
        yield
        is_over.set()
        holder.result()


@pytest.mark.django_db(transaction=True)
def test_where_another_process_is_counting_nothing_is_done(held_elsewhere):
    before = coverage()
    log_run("new")
    for steps in (refresh(), backfill()):
        with pytest.raises(CountedElsewhere):
            next(steps)
    with time_machine.travel(datetime.now(UTC) + HOUR):
        refresh_if_stale()
    assert coverage() == before
    assert counted_hours() == []


@pytest.mark.django_db(transaction=True)
def test_of_two_that_begin_at_once_one_makes_the_state():
    with time_machine.travel(NOW, tick=True):
        log_run("new")

        def begin(_):
            try:
                return len(list(refresh()))
            except CountedElsewhere:
                return None
            finally:
                connection.close()

        with ThreadPoolExecutor(4) as threads:
            list(threads.map(begin, range(4)))
    assert RollupState.objects.count() == 1
    assert kept() == counted_in_python()


@pytest.mark.django_db(transaction=True)
def test_what_is_written_while_several_count_is_counted_in_the_end():
    is_over = Flag()

    def write(first):
        try:
            for number in range(first, first + 40):
                age = timedelta(hours=number % 7)
                document = samples.workflow_completed(
                    random=random.Random(number), status=STATUSES[number % 8], workflow_id=f"{number % 25}"
                )
                body = samples.encode(document)
                arrival = Arrival(
                    received_at=datetime.now(UTC) - age,
                    webhook_slug="",
                    headers=samples.headers(body, document, SECRET),
                    client_address=None,
                    body=body,
                )
                record(arrival, authenticate(arrival))
        finally:
            connection.close()

    def count(begin):
        try:
            while not is_over.is_set():
                begin()
                with suppress(CountedElsewhere):
                    list(with_pauses(itertools.chain(refresh(), backfill())))
                time.sleep(counting.LOCK_PAUSE_SECONDS)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as threads:
        counters = [threads.submit(count, begin) for begin in (refresh_if_stale, forget)]
        writers = [threads.submit(write, first) for first in (0, 1_000)]
        try:
            for writer in writers:
                writer.result()
        finally:
            is_over.set()
        for counter in counters:
            counter.result()
    count_all()
    assert kept() == counted_in_python()


def test_a_run_stops_where_another_one_begins_anew(clock):
    for age in range(3):
        log_run(age, age * HOUR)
    steps = backfill()
    next(steps)
    forget()
    with pytest.raises(CountedElsewhere):
        next(steps)
    count_all()
    assert kept() == counted_in_python()
