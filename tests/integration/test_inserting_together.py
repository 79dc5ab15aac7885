"""Events that come at the same time are written by one transaction: each once, with its own delivery."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Event as Flag
from types import SimpleNamespace

import pytest
from django.db import DataError, IntegrityError, OperationalError, connection, connections, transaction

from logs import transactions
from logs.ingest import insertion
from logs.ingest.insertion import Pair, insert_event, insert_on_loop, insert_pairs
from logs.ingest.threads import authentic, with_usable_connection
from logs.ingest.writer import Writer
from logs.models import Delivery, Outcome, WorkflowEvent
from tests.integration.on_loop import run_on_loop
from tests.load.wire import wait_until
from tests.plans import analyze

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)


@pytest.fixture
def of_postgresql():
    if connection.vendor != "postgresql":
        pytest.skip("of PostgreSQL only")


@pytest.fixture
def of_sqlite():
    if connection.vendor != "sqlite":
        pytest.skip("of SQLite only")


def event(event_id, **columns):
    return WorkflowEvent(**({"event_id": event_id, "received_at": NOW, "verified": True} | columns))


def pair(event_id, body=b"{}", **columns):
    delivery = Delivery(
        received_at=NOW, judged_at=NOW, outcome=Outcome.LOGGED, verified=True, plausible=True, headers={}, body=body
    )
    return Pair(event=columns_of(event(event_id, **columns)), delivery=columns_of(delivery))


def columns_of(row):
    return {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}


def insert(row):
    return run_on_loop(insert_on_loop(row))


def bodies():
    return {row.event.event_id: bytes(row.body) for row in Delivery.objects.select_related("event")}


@pytest.fixture
def replace_writer(monkeypatch):
    """Let a coroutine function take the writer's place."""
    return lambda submit: monkeypatch.setattr(insertion, "writer", SimpleNamespace(submit=submit))


@pytest.fixture
def always_beside(replace_writer):
    """Let each event be written together with this one."""

    def write_beside(other):
        async def submit(mine):
            return (await authentic.run(insert_pairs, [mine, other]))[0]

        replace_writer(submit)

    return write_beside


def test_only_outside_a_transaction_can_a_write_be_committed_now():
    assert transactions.is_outside_transactions()
    with transaction.atomic():
        assert not transactions.is_outside_transactions()


def test_each_event_has_its_own_delivery():
    pairs = [pair(f"event-{number}", body=b"%d" % number, pipeline_number=10**number) for number in range(8)]
    keys = insert_pairs(pairs)
    assert keys == [WorkflowEvent.objects.get(event_id=f"event-{number}").pk for number in range(8)]
    assert bodies() == {f"event-{number}": b"%d" % number for number in range(8)}
    numbers = WorkflowEvent.objects.order_by("pipeline_number").values_list("pipeline_number", flat=True)
    assert list(numbers) == [10**number for number in range(8)]


@pytest.mark.usefixtures("of_postgresql")
def test_a_new_project_id_is_looked_up_in_its_index_however_few_projects_the_log_has():
    columns = {"received_at": NOW, "verified": True, "project_id": "only"}
    WorkflowEvent.objects.bulk_create(WorkflowEvent(event_id=f"event-{number}", **columns) for number in range(2_000))
    analyze()
    insert_pairs([pair("new")])
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT name, cardinality(parameter_types) FROM pg_prepared_statements"
            " WHERE statement LIKE 'WITH sent%' ORDER BY length(statement)"
        )
        name, count = cursor.fetchone()
        cursor.execute("SET plan_cache_mode = force_generic_plan")
        cursor.execute(f"EXPLAIN EXECUTE {name} ({', '.join(['NULL'] * count)})")
        plan = "\n".join(line for (line,) in cursor.fetchall())
        cursor.execute("RESET plan_cache_mode")
    assert "event_project_id_newest" in plan
    assert "event_newest" not in plan


def test_what_is_known_is_left_alone():
    insert(pair("known", body=b"first"))
    keys = insert_pairs([pair("new"), pair("known", body=b"second")])
    assert [key is None for key in keys] == [False, True]
    assert bodies() == {"known": b"first", "new": b"{}"}


def test_of_one_event_that_comes_twice_at_once_the_first_is_written():
    keys = insert_pairs([pair("twice", body=b"1"), pair("once"), pair("twice", body=b"2")])
    assert [key is None for key in keys] == [False, False, True]
    assert bodies() == {"twice": b"1", "once": b"{}"}


@pytest.mark.usefixtures("of_postgresql")
def test_processes_that_insert_the_same_events_never_wait_for_each_other():
    with ThreadPoolExecutor(2) as others:
        with transaction.atomic():
            insert_event(event("b"))
            one, two = (others.submit(insert_and_close, order) for order in ("abc", "cba"))
            wait_until(lambda: waiting_for_a_lock() == 2, "both wait")
            transaction.set_rollback(True)
        assert sorted([one.result(), two.result()]) == [0, 3]
    assert sorted(bodies()) == ["a", "b", "c"]


def insert_and_close(event_ids):
    try:
        return sum(key is not None for key in insert_pairs([pair(event_id) for event_id in event_ids]))
    finally:
        connection.close()


def waiting_for_a_lock():
    with connection.cursor() as cursor:
        # Other workers of a parallel run wait on the same server. A row's lock names no database, but its session does.
        cursor.execute(
            "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)"
            " WHERE NOT granted AND datname = current_database()"
        )
        return cursor.fetchone()[0]


@pytest.mark.usefixtures("of_postgresql")
def test_an_event_that_cannot_be_held_fails_alone(always_beside):
    too_long = pair("bad", branch="x" * 300)
    always_beside(too_long)
    assert insert(pair("good"))
    with pytest.raises(DataError):
        insert(too_long)
    assert bodies() == {"good": b"{}"}


@pytest.mark.usefixtures("of_postgresql")
def test_an_event_that_is_locked_fails_alone(always_beside, monkeypatch):
    options = connections.settings["default"]["OPTIONS"]
    monkeypatch.setitem(options, "options", f"{options.get('options', '')} -c lock_timeout=100ms")
    locked = pair("locked")
    with ThreadPoolExecutor(1) as other:
        is_held, go_on = Flag(), Flag()
        done = other.submit(hold, event("locked"), is_held, go_on)
        assert is_held.wait(timeout=10)
        always_beside(locked)
        assert insert(pair("good"))
        with pytest.raises(OperationalError, match="lock timeout"):
            insert(locked)
        go_on.set()
        done.result()
    assert bodies() == {"good": b"{}"}


def hold(row, is_held, go_on):
    """Insert an event and leave its transaction open until told to undo it."""
    try:
        with transaction.atomic():
            insert_event(row)
            is_held.set()
            go_on.wait(timeout=10)
            transaction.set_rollback(True)
    finally:
        connection.close()


def test_an_event_that_breaks_a_rule_fails_alone(always_beside):
    without_time = pair("bad", received_at=None)
    always_beside(without_time)
    assert insert(pair("good"))
    with pytest.raises(IntegrityError):
        insert(without_time)
    assert bodies() == {"good": b"{}"}


def test_without_its_delivery_no_event_of_the_group_is_written():
    alone = pair("alone")
    alone[1]["received_at"] = None
    with pytest.raises(IntegrityError):
        insert_pairs([pair("a"), alone])
    assert not WorkflowEvent.objects.exists()


def test_nothing_is_tried_alone_when_it_has_waited_too_long(always_beside, monkeypatch):
    always_beside(pair("bad", received_at=None))
    monkeypatch.setattr(transactions, "LATEST_SECOND_TRY_SECONDS", 0)
    with pytest.raises(OperationalError, match="first try took"):
        insert(pair("good"))


@pytest.mark.usefixtures("of_sqlite")
def test_events_that_come_while_sqlite_is_busy_share_a_transaction(monkeypatch):
    groups, is_started, others_wait = [], Flag(), Flag()

    def write(pairs):
        groups.append([pair.event["event_id"] for pair in pairs])
        is_started.set()
        return with_usable_connection(insert_pairs, pairs)

    async def insert_one_and_then_others():
        tasks = [asyncio.create_task(insert_on_loop(pair("first")))]
        await asyncio.to_thread(is_started.wait, 10)
        tasks += [asyncio.create_task(insert_on_loop(pair(event_id))) for event_id in "abc"]
        await asyncio.sleep(0)
        others_wait.set()
        return await asyncio.gather(*tasks)

    monkeypatch.setattr(insertion, "writer", Writer(write, most=8, patience_seconds=3))
    with ThreadPoolExecutor(1) as loop:
        with transactions.durable_transaction():
            done = loop.submit(run_on_loop, insert_one_and_then_others())
            assert others_wait.wait(timeout=10)
        assert done.result() == [True] * 4
    assert groups == [["first"], ["a", "b", "c"]]
    assert sorted(bodies()) == ["a", "b", "c", "first"]


def test_events_with_and_without_values_are_written_together():
    full, bare = pair("full", happened_at=NOW, job_number=7, duration_seconds=1.5), pair("bare")
    full[1].update(client_address="2001:db8::1", secret_fingerprint="0a1b2c3d", headers={"user-agent": 'ü "x"'})
    insert_pairs([full, bare, pair("other", duration_seconds=1e-7)])
    columns = ("event__event_id", "event__happened_at", "event__job_number", "event__duration_seconds")
    rows = Delivery.objects.order_by("event__event_id").values_list(
        *columns, "client_address", "secret_fingerprint", "headers"
    )
    assert list(rows) == [
        ("bare", None, None, None, None, None, {}),
        ("full", NOW, 7, 1.5, "2001:db8::1", "0a1b2c3d", {"user-agent": 'ü "x"'}),
        ("other", None, None, 1e-7, None, None, {}),
    ]


@pytest.mark.usefixtures("of_postgresql")
def test_a_value_that_no_column_holds_is_an_error():
    with pytest.raises(TypeError, match="memoryview"):
        insert(pair("event", body=memoryview(b"{}")))


def test_if_others_are_written_for_too_long_the_database_is_too_slow(replace_writer):
    async def too_long(_):
        raise TimeoutError("others have been written for 3 seconds")

    replace_writer(too_long)
    with pytest.raises(OperationalError, match="for 3 seconds"):
        insert(pair("event"))


def test_while_the_database_is_away_nobody_tries_again(replace_writer, monkeypatch):
    async def away(_):
        raise OperationalError("away")

    replace_writer(away)
    monkeypatch.setattr(insertion, "insert_pairs", lambda _: pytest.fail("it was tried again"))
    with pytest.raises(OperationalError, match="away"):
        insert(pair("event"))


def test_times_and_texts_are_kept_as_they_are():
    happened_at = datetime(2026, 5, 4, 11, 59, 58, 123456, tzinfo=UTC)
    columns = {
        "happened_at": happened_at,
        "duration_seconds": 0.1 + 0.2,
        "commit_subject": "100 % 'ü' $1 \\ \"\U0001f33f",
    }
    insert(pair("event", body=bytes(range(256)), **columns))
    kept = WorkflowEvent.objects.get()
    assert {name: getattr(kept, name) for name in columns} == columns
    assert bodies() == {"event": bytes(range(256))}
