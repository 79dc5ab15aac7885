"""Cancelling a workflow sends several versions of one event: the newest is shown, whatever the order of arrival."""

import itertools
import json
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.db import OperationalError, connection, transaction
from django.test import Client

from logs import transactions
from logs.circleci import samples
from logs.models import Delivery, Outcome, WorkflowEvent

SECRET = "a-secret-of-the-tests"
# Seconds of each version's end after the workflow's start; the first has ended before it began, as CircleCI sends it.
ENDS = [0, 7, 19, 42]


def version_of(document, seconds):
    """Return the version of a canceled workflow that ends some seconds after its start."""
    moment = f"2026-05-04T10:00:{seconds:02}.250000Z"
    workflow = document["workflow"] | {
        "created_at": "2026-05-04T10:00:00.250000Z",
        "stopped_at": moment,
        "status": "canceled",
    }
    return document | {"happened_at": moment, "workflow": workflow}


@pytest.mark.django_db
@pytest.mark.parametrize("order", list(itertools.permutations(ENDS)))
def test_the_newest_version_wins_in_every_order_of_arrival(deliver, workflow_document, order):
    document = workflow_document()
    answers = [deliver(version_of(document, seconds)) for seconds in order]
    assert [answer.status_code for answer in answers] == [201, 200, 200, 200]
    expected = ["logged" if not n else "updated" if order[n] > max(order[:n]) else "duplicate" for n in range(4)]
    assert [answer.json()["outcome"] for answer in answers] == expected
    event = WorkflowEvent.objects.get()
    assert event.duration_seconds == 42
    assert event.happened_at.isoformat() == "2026-05-04T10:00:42.250000+00:00"
    assert Delivery.objects.filter(event=event).count() == 4
    assert json.loads(bytes(event.deliveries.of_shown_version().body))["happened_at"] == "2026-05-04T10:00:42.250000Z"


@pytest.mark.django_db
def test_the_delivery_of_each_version_has_its_reason_and_its_project(deliver, workflow_document):
    document = workflow_document()
    for seconds in (7, 42, 42, 0):
        deliver(version_of(document, seconds))
    assert list(Delivery.objects.order_by("pk").values_list("reason", "project_slug")) == [
        (reason, document["project"]["slug"])
        for reason in (
            "",
            "a newer version of a known event",
            "the same version of a known event",
            "an older version of a known event",
        )
    ]


@pytest.mark.django_db
def test_an_update_and_its_delivery_are_written_together_or_not_at_all(deliver, workflow_document, monkeypatch):
    def fail(*args, **kwargs):
        raise OperationalError

    deliver(version_of(workflow_document(), 0))
    monkeypatch.setattr(Delivery, "save", fail)
    assert deliver(version_of(workflow_document(), 7)).status_code == 503
    assert WorkflowEvent.objects.get().duration_seconds == 0


@pytest.mark.django_db
def test_a_known_event_is_not_tried_once_more_when_it_has_waited_too_long(deliver, workflow_document, monkeypatch):
    deliver(version_of(workflow_document(), 0))
    monkeypatch.setattr(transactions, "LATEST_SECOND_TRY_SECONDS", 0)
    answer = deliver(version_of(workflow_document(), 7))
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "10")
    assert Delivery.objects.count() == 1


@pytest.mark.django_db
def test_an_update_keeps_the_first_time_of_arrival(deliver, workflow_document):
    deliver(version_of(workflow_document(), 0))
    first = WorkflowEvent.objects.get()
    deliver(version_of(workflow_document(), 7))
    second = WorkflowEvent.objects.get()
    assert (second.pk, second.received_at) == (first.pk, first.received_at)
    assert second.received_at == Delivery.objects.get(outcome=Outcome.LOGGED).received_at


@pytest.mark.django_db
def test_of_two_versions_of_one_moment_the_one_that_stopped_later_wins(deliver, workflow_document):
    later, earlier = (version_of(workflow_document(), seconds) for seconds in (42, 7))
    later["happened_at"] = earlier["happened_at"]
    assert deliver(later).status_code == 201
    assert deliver(earlier).json()["outcome"] == "duplicate"
    assert Delivery.objects.newest_first()[0].reason == "an older version of a known event"
    assert WorkflowEvent.objects.get().duration_seconds == 42


@pytest.mark.django_db
def test_a_version_without_a_time_never_replaces_one_that_has_it(deliver, workflow_document):
    timeless = workflow_document() | {"happened_at": "yesterday"}
    deliver(workflow_document())
    assert deliver(timeless).json()["outcome"] == "duplicate"
    assert WorkflowEvent.objects.get().happened_at is not None


def post_at_once(documents):
    """Post all documents from as many threads, which start together, and return the answers."""
    barrier = Barrier(len(documents))

    def post(document):
        body = samples.encode(document)
        barrier.wait(timeout=10)
        try:
            headers = samples.headers(body, document, SECRET)
            return Client().generic("POST", "/log-circleci-webhook", body, headers=headers)
        finally:
            connection.close()

    with ThreadPoolExecutor(len(documents)) as threads:
        return list(threads.map(post, documents))


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("seed", range(5))
def test_concurrent_deliveries_of_one_event_log_it_once(webhook_secrets, workflow_document, seed):
    answers = post_at_once([workflow_document(seed)] * 12)
    assert sorted(answer.status_code for answer in answers) == [200] * 11 + [201]
    event = WorkflowEvent.objects.get()
    assert Delivery.objects.filter(event=event, outcome=Outcome.DUPLICATE).count() == 11
    assert Delivery.objects.filter(event=event, outcome=Outcome.LOGGED).count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("seed", range(5))
def test_the_newest_of_concurrent_versions_wins(webhook_secrets, workflow_document, seed):
    document = workflow_document(seed)
    answers = post_at_once([version_of(document, seconds) for seconds in [*ENDS, 1, 3, 30, 41]])
    assert {answer.status_code for answer in answers} == {200, 201}
    assert WorkflowEvent.objects.get().duration_seconds == 42
    assert Delivery.objects.count() == 8


@pytest.mark.django_db(transaction=True)
def test_concurrent_events_are_all_logged(webhook_secrets, workflow_document):
    answers = post_at_once([workflow_document(seed) for seed in range(16)])
    assert [answer.status_code for answer in answers] == [201] * 16
    assert WorkflowEvent.objects.count() == 16


@pytest.mark.django_db(transaction=True)
def test_an_answered_event_is_committed(client, webhook_secrets, workflow_document, monkeypatch):
    body = samples.encode(workflow_document())
    headers = samples.headers(body, workflow_document(), SECRET)
    assert client.generic("POST", "/log-circleci-webhook", body, headers=headers).status_code == 201
    with ThreadPoolExecutor(1) as other_connection:
        assert other_connection.submit(count_events).result() == 1


@pytest.mark.django_db(transaction=True)
def test_a_delivery_is_never_logged_inside_a_transaction_that_could_undo_it(deliver, workflow_document):
    with transaction.atomic(), pytest.raises(RuntimeError, match="durable"):
        deliver(workflow_document())
    assert not WorkflowEvent.objects.exists()


def count_events():
    try:
        return WorkflowEvent.objects.count()
    finally:
        connection.close()
