"""Which reads go to the replica, when it may be used, and what happens if it fails."""

import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.db import DatabaseError, OperationalError, connections
from django.db.models import F

from logs import replica
from logs.insights import counting
from logs.models import ApiToken, WorkflowEvent
from logs.reading.pages import Listing, Order, Page, Position
from logs.replica import MODELS, Replica, ReplicaRouter, ReplicaUnusable

ON_PRIMARY = {
    "logs.apitoken",
    "logs.channel",
    "logs.counterprogress",
    "logs.deliverycounter",
    "logs.eventcounter",
    "logs.feed",
    "logs.rule",
    "logs.rule_channels",
    "logs.site",
    "logs.watchtask",
    "logs.webhooksecret",
}


@pytest.fixture(autouse=True)
def with_replica(settings, monkeypatch):
    """A replica that is up to date, and a thread that does not use it yet."""
    settings.DATABASE_ROUTERS = ["logs.replica.ReplicaRouter"]
    monkeypatch.setattr(replica, "_measure", lambda: 0.0)
    monkeypatch.setattr(replica, "replica", Replica())
    replica.reset()
    yield
    replica.reset()


@pytest.fixture
def clock(monkeypatch):
    """The time of time.monotonic(), to be moved by a test."""
    clock = SimpleNamespace(now=1_000.0)
    monkeypatch.setattr(time, "monotonic", lambda: clock.now)
    return clock


@pytest.fixture
def measured(monkeypatch):
    """Let the replica be measured as a lag in seconds or an error; return the list of measurements."""
    measurements = []

    def measure_as(result):
        def measure():
            measurements.append(result)
            if isinstance(result, Exception):
                raise result
            return result

        monkeypatch.setattr(replica, "_measure", measure)
        return measurements

    return measure_as


def db_for_read(model=WorkflowEvent):
    return ReplicaRouter().db_for_read(model)


def test_reads_the_primary_unless_a_request_may_read_the_replica():
    assert db_for_read() == "default"
    replica.read_from_replica()
    assert db_for_read() == "replica"
    replica.reset()
    assert db_for_read() == "default"


def test_reads_only_the_log_from_the_replica():
    replica.read_from_replica()
    on_replica = {model._meta.label_lower for model in apps.get_models() if db_for_read(model) == "replica"}
    assert on_replica == MODELS


def test_each_table_of_the_log_is_read_from_the_replica_or_from_the_primary_on_purpose():
    tables = {model._meta.label_lower for model in apps.get_app_config("logs").get_models(include_auto_created=True)}
    assert tables - MODELS == ON_PRIMARY


def test_statements_written_by_hand_read_from_the_database_that_the_router_would_choose():
    folders = [Path(replica.__file__).parent / name for name in ("admin", "admin_site", "feeds", "insights", "reading")]
    readers = [path for folder in folders for path in folder.rglob("*.py") if path.parent.name != "stream"]
    assert len(readers) > 50
    assert [path for path in readers if re.search(r"\bconnection\.cursor\(", path.read_text(encoding="utf-8"))] == []


def of(database):
    """Return an event that was read from a database."""
    event = WorkflowEvent(pk=1)
    event._state.db = database
    return event


def test_writes_and_migrates_the_primary():
    replica.read_from_replica()
    for hints in ({}, {"instance": of(None)}, {"instance": of("default")}, {"instance": of("replica")}):
        assert ReplicaRouter().db_for_write(WorkflowEvent, **hints) == "default"
    assert ReplicaRouter().allow_migrate("default", "logs") is None
    assert ReplicaRouter().allow_migrate("replica", "logs") is False
    assert ReplicaRouter().allow_relation(of("replica"), of("default")) is True


def test_leaves_other_databases_such_as_the_target_of_copy_log_to_django():
    assert ReplicaRouter().db_for_write(WorkflowEvent, instance=of("target")) == "target"
    assert ReplicaRouter().db_for_read(WorkflowEvent, instance=of("target")) == "target"
    assert ReplicaRouter().allow_migrate("target", "logs") is None
    assert ReplicaRouter().allow_relation(of("target"), of("default")) is None


def test_reads_the_primary_in_a_transaction_and_where_the_code_says_so(monkeypatch):
    replica.read_from_replica()
    with replica.on_primary():
        assert db_for_read() == "default"
    assert db_for_read() == "replica"
    monkeypatch.setattr(connections["default"], "in_atomic_block", True)
    assert db_for_read() == "default"


def test_counting_reads_the_primary(monkeypatch):
    read = []

    def count():
        read.append(db_for_read())
        raise DatabaseError("the test ends here")

    monkeypatch.setattr(counting, "WorkflowEvent", SimpleNamespace(objects=SimpleNamespace(order_by=count)))
    replica.read_from_replica()
    counting.refresh_if_stale()
    assert read == ["default"]
    assert db_for_read() == "replica"


def test_another_thread_does_not_read_the_replica(run_in_thread):
    replica.read_from_replica()
    assert run_in_thread(db_for_read) == "default"


@pytest.fixture
def run_in_thread():
    """Call a function in another thread, and return its result."""
    with ThreadPoolExecutor(1) as threads:
        yield lambda function: threads.submit(function).result(timeout=10)


@pytest.mark.parametrize(("lag_seconds", "alias"), [(9, "replica"), (11, "default")])
def test_does_not_use_a_replica_that_lags_more_than_allowed(settings, measured, lag_seconds, alias):
    settings.REPLICA_MAX_LAG_SECONDS = 10
    measured(lag_seconds)
    replica.read_from_replica()
    assert db_for_read() == alias


@pytest.mark.parametrize("error", [OperationalError("connection refused"), ReplicaUnusable("it is the primary")])
def test_does_not_use_a_replica_that_cannot_be_measured_and_logs_it_once(measured, clock, caplog, error):
    measurements = measured(error)
    for _ in range(2):
        clock.now += replica.RETRY_SECONDS
        replica.read_from_replica()
    assert len(measurements) == 2
    assert db_for_read() == "default"
    assert [record.message for record in caplog.records] == [f"the replica is not used: {error}"]
    measured(0.0)
    clock.now += replica.RETRY_SECONDS
    replica.read_from_replica()
    assert db_for_read() == "replica"
    assert caplog.records[-1].message == "the replica is used again"


def test_a_result_is_used_for_a_second_and_gets_older(settings, measured, clock):
    settings.REPLICA_MAX_LAG_SECONDS = 10
    measurements = measured(9.5)
    as_of = replica.replica.as_of()
    clock.now += 0.4
    assert replica.replica.as_of() == as_of == 990.5
    clock.now += 0.2  # The measurement is too recent to be repeated, and too old.
    assert replica.replica.as_of() is None
    assert len(measurements) == 1
    clock.now += 1
    assert replica.replica.as_of() == clock.now - 9.5
    assert len(measurements) == 2


def test_while_a_thread_checks_the_others_use_the_last_result(clock, monkeypatch, run_in_thread):
    first = replica.replica.as_of()
    clock.now += replica.CHECK_SECONDS
    found = []

    def measure():
        found.append(run_in_thread(replica.replica.as_of))
        return 0.0

    monkeypatch.setattr(replica, "_measure", measure)
    assert replica.replica.as_of() == clock.now
    assert found == [first]


def test_a_replica_that_does_not_answer_a_check_in_time_is_not_used_while_it_runs(clock, monkeypatch, run_in_thread):
    assert replica.replica.as_of() is not None
    clock.now += replica.CHECK_SECONDS
    found = []

    def measure():
        clock.now += replica.MAX_CHECK_SECONDS
        found.append(run_in_thread(replica.replica.as_of))
        return 0.0

    monkeypatch.setattr(replica, "_measure", measure)
    assert replica.replica.as_of() is not None
    assert found == [None]


def test_reports_the_age_only_of_what_was_read_from_the_replica(measured):
    measured(7.5)
    replica.read_from_replica()
    assert replica.data_age_seconds() is None
    db_for_read(ApiToken)
    assert replica.data_age_seconds() is None
    db_for_read()
    assert 7.5 <= replica.data_age_seconds() < 9


def test_a_read_that_fails_on_the_replica_is_repeated_on_the_primary():
    replica.read_from_replica()
    tried = []

    def read():
        tried.append(db_for_read())
        if tried[-1] == "replica":
            raise OperationalError("terminating connection")
        return "rows"

    assert replica.read_again(read) == "rows"
    assert tried == ["replica", "default"]
    replica.read_from_replica()
    assert db_for_read() == "default"  # It is not used for a while.


def test_an_export_continues_on_the_primary_if_the_replica_fails_in_the_middle(monkeypatch):
    end, read = Position(key=1.0, pk=1), []

    def page(listing, size, *, after=None):
        read.append(db_for_read())
        if after and read[-1] == "replica":
            raise OperationalError("terminating connection")
        return Page(rows=[after], end=None if after else end)

    monkeypatch.setattr(Listing, "page", page)
    replica.read_from_replica()
    listing = Listing(rows=WorkflowEvent.objects.none(), order=Order(column="pk", key=F("pk")), descending=True)
    assert [page.rows for page in listing.pages(1)] == [[None], [end]]
    assert read == ["replica", "replica", "default"]


def test_a_read_that_fails_on_the_primary_is_not_repeated():
    tried = []

    def read():
        tried.append(db_for_read())
        raise OperationalError("the primary is down")

    with pytest.raises(OperationalError, match="primary is down"):
        replica.read_again(read)
    assert tried == ["default"]
