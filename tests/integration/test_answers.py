"""Each delivery stores the response that it received, after how long, and the request's id."""

import time
from contextlib import contextmanager
from functools import partial

import pytest

from logs.ingest import insertion
from logs.ingest.importing import log_import
from logs.ingest.insertion import insert_pairs
from logs.ingest.replay import replay
from logs.ingest.threads import with_usable_connection
from logs.ingest.writer import Writer
from logs.models import Delivery

pytestmark = pytest.mark.django_db(transaction=True)

WAIT_SECONDS = 0.05


@pytest.fixture(params=["wsgi", "loop"])
def send(request):
    """Post a payload to either entry point."""
    return request.getfixturevalue({"wsgi": "deliver", "loop": "deliver_on_loop"}[request.param])


def stored():
    return Delivery.objects.newest_first().first()


def test_stores_what_was_really_sent(send, workflow_document, ping_document, webhook_secrets, settings):
    settings.EVENT_RETENTION_DAYS, settings.MAX_BODY_BYTES = 20_000, 10_000
    webhook_secrets["narrow"] = {"secrets": ["narrow"], "projects": ["github/other/*"]}
    document = workflow_document()
    sent = [
        (201, document, {}),
        (200, document, {}),
        (200, document | {"happened_at": "2027-01-01T00:00:00Z"}, {}),
        (200, ping_document, {}),
        (200, workflow_document(2) | {"happened_at": "1970-01-01T00:00:00Z"}, {}),
        (401, document, {"secret": "a wrong one"}),
        (400, b"[]", {}),
        (403, workflow_document(3), {"secret": "narrow"}),
        (415, document, {"headers": {"content-type": "text/xml"}}),
        (415, document, {"headers": {"content-encoding": "gzip"}}),
        (413, b" " * 10_001, {}),
        (400, b"{", {}),
    ]
    for status, payload, options in sent:
        answer, delivery = send(payload, **options), stored()
        said = answer.json().get("message") or answer.json()["detail"]
        assert (answer.status_code, delivery.response_status, delivery.response_message) == (status, status, said)
        assert delivery.request_id == answer.headers["x-request-id"]
        assert 0 < delivery.response_seconds < 10
    assert Delivery.objects.count() == len(sent)


def test_the_time_includes_the_wait_for_others(deliver_on_loop, workflow_document, monkeypatch):
    @contextmanager
    def turn():
        time.sleep(WAIT_SECONDS)
        yield

    write = partial(with_usable_connection, insert_pairs)
    monkeypatch.setattr(insertion, "writer", Writer(write, turn=turn, most=8, patience_seconds=3))
    assert deliver_on_loop(workflow_document()).status_code == 201
    assert stored().response_seconds > WAIT_SECONDS


def test_a_replay_does_not_change_what_was_answered(deliver, workflow_document, webhook_secrets):
    deliver(workflow_document(), secret="another")
    before = stored()
    webhook_secrets["My CircleCI Webhook"] = "another"
    assert replay(before.pk, actor="ops").fixed
    columns = ("response_status", "response_message", "response_seconds", "request_id")
    assert [getattr(stored(), name) for name in columns] == [getattr(before, name) for name in columns]
    assert stored().response_status == 401


def test_an_import_is_not_answered():
    log_import(b'{"id": "imported", "type": "workflow-completed"}')
    delivery = stored()
    assert (delivery.response_status, delivery.response_message) == (None, None)
    assert (delivery.response_seconds, delivery.request_id) == (None, None)
