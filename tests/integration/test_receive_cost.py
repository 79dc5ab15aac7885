"""What a webhook costs, in figures that depend on no machine."""

import psycopg
import pytest
from django.db import connection

from logs.models import Delivery, WorkflowEvent


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


@pytest.mark.django_db(transaction=True)
def test_a_new_event_costs_two_statements_in_one_transaction(deliver, workflow_document):
    if connection.vendor != "sqlite":
        pytest.skip("of SQLite only")
    deliver(workflow_document(1))
    statements = []
    connection.connection.set_trace_callback(statements.append)
    answer = deliver(workflow_document(2))
    connection.connection.set_trace_callback(None)
    assert answer.status_code == 201
    # Of a trigger's statements, SQLite tells by comments, and then again of the statement that they belong to.
    verbs = [statement.split()[0] for statement in dict.fromkeys(statements) if not statement.startswith("--")]
    assert verbs == ["BEGIN", "INSERT", "INSERT", "COMMIT"]


@pytest.mark.django_db(transaction=True)
def test_a_new_event_costs_one_round_trip(deliver, workflow_document, round_trips):
    if connection.vendor != "postgresql":
        pytest.skip("of PostgreSQL only")
    deliver(workflow_document(1))
    before = len(round_trips)
    assert deliver(workflow_document(2)).status_code == 201
    assert len(round_trips) - before == 1
    assert (WorkflowEvent.objects.count(), Delivery.objects.count()) == (2, 2)


@pytest.mark.django_db(transaction=True)
def test_the_statement_is_prepared(deliver, workflow_document):
    if connection.vendor != "postgresql":
        pytest.skip("of PostgreSQL only")
    for seed in range(3):
        assert deliver(workflow_document(seed)).status_code == 201
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT generic_plans + custom_plans FROM pg_prepared_statements WHERE statement LIKE '%arrived%'"
        )
        assert cursor.fetchall() == [(3,)]


@pytest.mark.django_db(transaction=True)
def test_a_connection_that_the_server_has_ended_costs_no_delivery(deliver, workflow_document):
    if connection.vendor != "postgresql":
        pytest.skip("of PostgreSQL only")
    deliver(workflow_document(1))
    backend = connection.connection.info.backend_pid
    with psycopg.connect(connection.connection.info.dsn, password=connection.settings_dict["PASSWORD"]) as other:
        assert other.execute("SELECT pg_terminate_backend(%s, 5000)", [backend]).fetchone() == (True,)
    assert deliver(workflow_document(2)).status_code == 201
    assert WorkflowEvent.objects.count() == 2


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/log-circleci-webhook", "/log-circleci-webhook/my-circleci-webhook/"])
def test_a_webhook_meets_no_middleware_of_pages(deliver, workflow_document, path):
    answer = deliver(workflow_document(), path)
    assert answer.status_code == 201
    assert answer.headers.keys().isdisjoint({"Content-Security-Policy", "X-Frame-Options", "Vary", "Set-Cookie"})
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Request-ID"]


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/log-circleci-webhook/a/b", "/log-circleci-webhooks", "/log-circleci-webhook/%00"])
def test_what_is_no_address_of_a_webhook_is_answered_like_any_other_address(client, path):
    answer = client.post(path)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert "Content-Security-Policy" in answer.headers
