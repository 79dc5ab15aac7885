"""A captured request can be sent any number of times: the log stores a few of its deliveries, and counts all."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event as Flag

import pytest
from django.db import connection, transaction
from django.utils import timezone

from logs.models import Attempt, Delivery, Outcome, WorkflowEvent
from logs.models import deliveries as delivery_models

pytestmark = pytest.mark.django_db


def stored(outcome=Outcome.DUPLICATE):
    return list(Delivery.objects.filter(outcome=outcome).order_by("pk").values_list("pk", flat=True))


def test_stores_the_first_and_the_newest_duplicates_and_counts_all(deliver, workflow_document):
    deliver(workflow_document())
    made = []
    for _ in range(30):
        assert deliver(workflow_document()).json()["outcome"] == "duplicate"
        made.append(stored()[-1])
    assert stored() == [made[0], *made[-10:]]
    assert WorkflowEvent.objects.get().duplicates == 30
    assert len(stored(Outcome.LOGGED)) == 1


def test_older_versions_count_as_duplicates_and_the_shown_version_stays(deliver, workflow_document):
    deliver(workflow_document() | {"happened_at": "2026-05-04T10:00:00Z"})
    deliver(workflow_document() | {"happened_at": "2026-05-04T10:00:09Z"})
    for second in range(9):
        deliver(workflow_document() | {"happened_at": f"2026-05-04T10:00:0{second}Z"})
    event = WorkflowEvent.objects.get()
    assert event.duplicates == 9
    assert event.deliveries.of_shown_version().outcome == Outcome.UPDATED
    deliver(workflow_document() | {"happened_at": "2026-05-04T10:00:10Z"})
    assert WorkflowEvent.objects.get().duplicates == 9


def test_other_events_keep_their_duplicates(deliver, workflow_document):
    for _ in range(3):
        deliver(workflow_document(2))
    for _ in range(30):
        deliver(workflow_document(1))
    assert WorkflowEvent.objects.get(event_id=workflow_document(2)["id"]).deliveries.count() == 3


def test_deletes_what_an_earlier_version_stored_in_small_steps(deliver, workflow_document, monkeypatch):
    monkeypatch.setattr(delivery_models, "MAX_DELETED_AT_ONCE", 20)
    deliver(workflow_document())
    deliver(workflow_document())
    (duplicate,) = Delivery.objects.filter(outcome=Outcome.DUPLICATE)
    for _ in range(40):
        duplicate.pk = None
        duplicate.save()
    counts = []
    for _ in range(29):
        deliver(workflow_document())
        counts.append(len(stored()))
    assert counts[7:9] == [49, 30]
    assert counts[17:19] == [39, 20]
    assert counts[-2:] == [29, 11]


def test_a_duplicate_costs_few_statements(deliver, workflow_document, django_assert_max_num_queries):
    for _ in range(21):
        deliver(workflow_document())
    with django_assert_max_num_queries(8):  # Of these, four are the savepoints in place of two transactions.
        deliver(workflow_document())


@pytest.mark.parametrize("outcome", [Outcome.PING, Outcome.EXPIRED])
def test_stores_the_newest_deliveries_that_have_no_event(
    deliver, workflow_document, ping_document, settings, monkeypatch, outcome
):
    monkeypatch.setattr(delivery_models, "NEWEST_WITHOUT_EVENT_KEPT", 5)
    settings.EVENT_RETENTION_DAYS = 1
    document = ping_document if outcome == Outcome.PING else workflow_document()
    made = []
    for _ in range(8):
        assert deliver(document).json()["outcome"] == outcome
        made.append(stored(outcome)[-1])
    assert stored(outcome) == made[-5:]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("outcome", [Outcome.DUPLICATE, Outcome.PING, Outcome.UNVERIFIED])
def test_leaves_a_delivery_that_a_replay_has_locked(
    deliver, workflow_document, ping_document, settings, monkeypatch, outcome
):
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has one writer at a time")
    settings.REFUSED_DELIVERIES_MAX = 1
    for name in ("NEWEST_DUPLICATES_KEPT", "NEWEST_WITHOUT_EVENT_KEPT"):
        monkeypatch.setattr(delivery_models, name, 1)
    document = ping_document if outcome == Outcome.PING else workflow_document()
    secret = {"secret": "another"} if outcome == Outcome.UNVERIFIED else {}
    for _ in range(3):
        deliver(document, **secret)
    is_held, go_on = Flag(), Flag()
    held = stored(outcome)[-1]
    with ThreadPoolExecutor(1) as other:
        done = other.submit(hold, held, is_held, go_on)
        assert is_held.wait(timeout=10)
        statuses = {deliver(document, **secret).status_code for _ in range(2)}
        go_on.set()
        done.result()
    assert statuses == {401 if outcome == Outcome.UNVERIFIED else 200}
    assert held in stored(outcome)
    deliver(document, **secret)
    assert held not in stored(outcome)


def hold(key, is_held, go_on):
    """Add an attempt to a delivery, as a replay does, and commit it when told to."""
    try:
        with transaction.atomic():
            delivery = Delivery.objects.select_for_update().get(pk=key)
            Attempt.objects.create(delivery=delivery, attempted_at=timezone.now(), outcome=delivery.outcome)
            is_held.set()
            go_on.wait(timeout=10)
    finally:
        connection.close()
