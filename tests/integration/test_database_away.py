"""What the database cannot do is answered with what the client can do about it."""

import sqlite3

import pytest
from django.db import DatabaseError, DataError, InterfaceError, InternalError, OperationalError, ProgrammingError

from logs.admin import events
from logs.api.views import events as event_views
from logs.models import WorkflowEvent

pytestmark = pytest.mark.django_db


def failing_with(error):
    def fail(*args, **kwargs):
        raise error("words of the driver about db.internal")

    return fail


@pytest.mark.parametrize("error", [OperationalError, InterfaceError, InternalError])
def test_the_receiver_answers_503_and_writes_nothing(deliver, workflow_document, break_database, caplog, error):
    break_database(error("words of the driver about db.internal"))
    answer = deliver(workflow_document())
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "10")
    assert "db.internal" not in answer.content.decode()
    assert "db.internal" in caplog.text
    assert not WorkflowEvent.objects.exists()


def test_a_damaged_file_of_sqlite_is_answered_503(deliver, workflow_document, break_database):
    error = DatabaseError("database disk image is malformed")
    error.__cause__ = sqlite3.DatabaseError(*error.args)
    break_database(error)
    answer = deliver(workflow_document())
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "10")


@pytest.mark.parametrize("error", [OperationalError, InterfaceError, InternalError])
def test_the_list_and_the_admin_answer_503_too(admin_client, monkeypatch, error):
    monkeypatch.setattr(event_views.EventListView, "list", failing_with(error))
    monkeypatch.setattr(events.WorkflowEventAdmin, "rows", failing_with(error))
    for path in ("/fetch-webhooks-logs", "/admin/logs/workflowevent/"):
        answer = admin_client.get(path)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "10")
        assert answer.json()["code"] == "database_unavailable"


def test_a_text_that_the_database_cannot_hold_is_the_clients_mistake(admin_client, monkeypatch):
    monkeypatch.setattr(event_views.EventListView, "list", failing_with(DataError))
    monkeypatch.setattr(events.WorkflowEventAdmin, "rows", failing_with(DataError))
    for path in ("/fetch-webhooks-logs", "/admin/logs/workflowevent/"):
        answer = admin_client.get(path)
        assert (answer.status_code, answer.json()["code"]) == (400, "unstorable_text")


def test_a_defect_of_our_own_stays_a_500(admin_client, monkeypatch):
    admin_client.raise_request_exception = False
    monkeypatch.setattr(events.WorkflowEventAdmin, "rows", failing_with(ProgrammingError))
    assert admin_client.get("/admin/logs/workflowevent/").status_code == 500


@pytest.mark.parametrize(
    "query", ["status=%00", "event_type=%00", "project=%00", "url__regex=(", "q=%00", "verified__exact=%00", "p=%00"]
)
def test_odd_filters_of_the_admin_are_no_error_of_the_server(admin_client, query):
    for page in ("workflowevent", "delivery"):
        assert admin_client.get(f"/admin/logs/{page}/?{query}").status_code in (200, 302, 400)
