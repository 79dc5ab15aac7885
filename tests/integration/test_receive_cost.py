"""What a webhook costs, in figures that depend on no machine."""

import asyncio

import psycopg
import pytest
from django.db import connection

from logs.ingest import insertion
from logs.models import Delivery, WorkflowEvent
from tests.integration import on_loop

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def of_sqlite():
    if connection.vendor != "sqlite":
        pytest.skip("of SQLite only")


@pytest.fixture
def of_postgresql():
    if connection.vendor != "postgresql":
        pytest.skip("of PostgreSQL only")


@pytest.fixture
def in_writer(monkeypatch):
    """Call a function in the writer's thread, which keeps its database connection until the test ends."""
    write = insertion.writer._write  # noqa: SLF001 - only here can a test reach the thread

    def call_or_write(items):
        return [items[0]()] if callable(items[0]) else write(items)

    def call(function):
        return asyncio.run(insertion.writer.submit(function))

    monkeypatch.setattr(insertion.writer, "_write", call_or_write)
    monkeypatch.setattr(on_loop, "CONN_MAX_AGE_SECONDS", None)
    yield call
    call(lambda: connection.close())  # noqa: PLW0108 - each thread has its own connection


@pytest.fixture
def statements(in_writer):
    """What the writer's connection to SQLite executes."""
    statements = []

    def trace():
        connection.ensure_connection()
        connection.connection.set_trace_callback(statements.append)

    in_writer(trace)
    return statements


@pytest.fixture
def round_trips(monkeypatch):
    """How often something was sent to PostgreSQL and an answer awaited."""
    waits = []
    wait = psycopg.Connection.wait

    def counted(self, *args, **kwargs):
        waits.append(self)
        return wait(self, *args, **kwargs)

    monkeypatch.setattr(psycopg.Connection, "wait", counted)
    return waits


@pytest.mark.usefixtures("of_sqlite")
def test_a_new_event_costs_two_statements_in_one_transaction(deliver_on_loop, workflow_document, statements):
    deliver_on_loop(workflow_document(1))
    statements.clear()
    assert deliver_on_loop(workflow_document(2)).status_code == 201
    # Of a trigger's statements, SQLite tells by comments, and then again of the statement that they belong to.
    verbs = [statement.split()[0] for statement in dict.fromkeys(statements) if not statement.startswith("--")]
    assert verbs == ["BEGIN", "INSERT", "INSERT", "COMMIT"]


@pytest.mark.usefixtures("of_postgresql", "in_writer")
def test_a_new_event_costs_one_round_trip(deliver_on_loop, workflow_document, round_trips):
    deliver_on_loop(workflow_document(1))
    before = len(round_trips)
    assert deliver_on_loop(workflow_document(2)).status_code == 201
    assert len(round_trips) - before == 1
    assert (WorkflowEvent.objects.count(), Delivery.objects.count()) == (2, 2)


@pytest.mark.usefixtures("of_postgresql")
def test_the_statement_is_prepared(deliver_on_loop, workflow_document, in_writer):
    for seed in range(3):
        assert deliver_on_loop(workflow_document(seed)).status_code == 201

    def count_plans():
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT generic_plans + custom_plans FROM pg_prepared_statements WHERE statement LIKE '%arrived%'"
            )
            return cursor.fetchall()

    assert in_writer(count_plans) == [(3,)]


@pytest.mark.usefixtures("of_postgresql")
def test_a_connection_that_the_server_has_ended_costs_no_delivery(deliver_on_loop, workflow_document, in_writer):
    deliver_on_loop(workflow_document(1))
    backend = in_writer(lambda: connection.connection.info.backend_pid)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [backend])
        assert cursor.fetchone() == (True,)
    assert deliver_on_loop(workflow_document(2)).status_code == 201
    assert WorkflowEvent.objects.count() == 2


def test_the_insert_of_a_known_event_is_tried_once(deliver_on_loop, workflow_document, monkeypatch):
    groups = []
    write = insertion.writer._write  # noqa: SLF001 - only here can a test see its calls
    monkeypatch.setattr(insertion.writer, "_write", lambda pairs: groups.append(len(pairs)) or write(pairs))
    monkeypatch.setattr(insertion, "insert_pairs", lambda _: pytest.fail("it was inserted again"))
    outcomes = [deliver_on_loop(workflow_document(1)).json()["outcome"] for _ in range(2)]
    assert outcomes == ["logged", "duplicate"]
    assert groups == [1, 1]
    assert (WorkflowEvent.objects.count(), Delivery.objects.count()) == (1, 2)


@pytest.mark.parametrize("path", ["/log-circleci-webhook", "/log-circleci-webhook/my-circleci-webhook/"])
def test_a_webhook_meets_no_middleware_of_pages(deliver_on_loop, workflow_document, path):
    answer = deliver_on_loop(workflow_document(), path=path)
    assert answer.status_code == 201
    names = {name.lower() for name in answer.headers}
    assert names.isdisjoint({"content-security-policy", "x-frame-options", "vary", "set-cookie"})
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize("path", ["/log-circleci-webhook/a/b", "/log-circleci-webhooks", "/log-circleci-webhook/%00"])
def test_what_is_no_address_of_a_webhook_is_answered_like_any_other_address(path):
    (answer,) = on_loop.answers(on_loop.Exchange("POST", path))
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert "content-security-policy" in answer.headers
