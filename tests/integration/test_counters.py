"""The counters of /metrics: each delivery and each event counts once, and nothing that happens later changes that."""

from datetime import timedelta
from threading import Timer

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from logs.ingest.replay import replay
from logs.insights import counters
from logs.insights.counters import count_new, read_delivery_counters, read_event_counters
from logs.models import CounterProgress, Delivery, EventCounter, Outcome, WorkflowEvent
from logs.models.deliveries import NEWEST_WITHOUT_EVENT_KEPT
from logs.retention import delete_in_batches
from tests.conftest import SECRET, WEBHOOK
from tests.integration.source_log import make_delivery, make_event

pytestmark = pytest.mark.django_db

RUN = "workflow-completed"


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(counters, "LOCK_PAUSE_SECONDS", 0)


def count():
    """Count what is new, as the watch does."""
    return len(list(count_new()))


def deliveries():
    return {outcome: number for outcome, number in read_delivery_counters().items() if number}


def events():
    return {key: number for key, number in read_event_counters().items() if number}


def test_counts_deliveries_by_outcome_and_events_by_type_and_status(deliver, workflow_document, ping_document):
    deliver(workflow_document())
    deliver(workflow_document())
    deliver(workflow_document(2, status="failed"))
    deliver(ping_document)
    deliver(workflow_document(3), secret="another-secret")
    count()
    assert deliveries() == {"logged": 2, "duplicate": 1, "ping": 1, "unverified": 1}
    assert events() == {(RUN, "success"): 1, (RUN, "failed"): 1}


def test_counts_each_row_once(deliver, workflow_document):
    deliver(workflow_document())
    assert count() == 2
    assert count() == 0
    deliver(workflow_document(2))
    count()
    assert deliveries() == {"logged": 2}
    assert events() == {(RUN, "success"): 2}


def test_every_outcome_and_every_known_status_starts_at_nought():
    count()
    assert set(read_delivery_counters()) == set(Outcome.values)
    assert set(read_event_counters()) >= {(RUN, "failed"), ("job-completed", "canceled")}


def test_nothing_falls_when_rows_are_pruned(deliver, workflow_document):
    deliver(workflow_document())
    count()
    for rows in (Delivery.objects.order_by("received_at"), WorkflowEvent.objects.order_by("received_at", "pk")):
        list(delete_in_batches(rows, size=10))
    assert not Delivery.objects.exists()
    count()
    assert deliveries() == {"logged": 1}
    assert events() == {(RUN, "success"): 1}


def test_a_replay_changes_no_delivery_that_was_counted_but_its_event_counts(
    deliver, workflow_document, webhook_secrets
):
    deliver(workflow_document(), secret="the-right-secret")
    count()
    webhook_secrets[WEBHOOK] = [SECRET, "the-right-secret"]
    assert replay(Delivery.objects.get().pk, actor="ada").fixed
    count()
    assert Delivery.objects.get().outcome == "logged"
    assert deliveries() == {"unverified": 1}
    assert events() == {(RUN, "success"): 1}


def test_a_delivery_that_was_replayed_before_it_was_counted_counts_as_it_arrived(
    deliver, workflow_document, webhook_secrets
):
    deliver(workflow_document(), secret="the-right-secret")
    webhook_secrets[WEBHOOK] = [SECRET, "the-right-secret"]
    for _ in range(2):
        replay(Delivery.objects.get().pk, actor="ada")
    count()
    assert deliveries() == {"unverified": 1}


def test_a_newer_version_of_an_event_counts_as_a_delivery_only(deliver, workflow_document):
    deliver(workflow_document(status="failed"))
    count()
    document = workflow_document(status="success")
    newest = document["happened_at"].replace(document["happened_at"][:4], str(int(document["happened_at"][:4]) + 1))
    deliver(document | {"happened_at": newest})
    count()
    assert WorkflowEvent.objects.get().status == "success"
    assert deliveries() == {"logged": 1, "updated": 1}
    assert events() == {(RUN, "failed"): 1}


def test_surplus_pings_that_are_deleted_stay_counted(deliver, ping_document, monkeypatch):
    monkeypatch.setattr("logs.models.deliveries.NEWEST_WITHOUT_EVENT_KEPT", 2)
    for _ in range(5):
        deliver(ping_document)
        count()
    assert Delivery.objects.count() < 5 < NEWEST_WITHOUT_EVENT_KEPT
    assert deliveries() == {"ping": 5}


def test_words_that_clients_invent_count_as_other():
    for number in range(3):
        event = make_event()
        event.status, event.event_type = f"invented-{number}", f"type-{number}"
        event.save()
    count()
    assert list(EventCounter.objects.values_list("event_type", "status", "count")) == [("other", "other", 3)]


def test_an_existing_log_is_counted_in_batches_and_shown_when_all_of_it_is(monkeypatch):
    monkeypatch.setattr(counters, "BATCH_SIZE", 2)
    for _ in range(5):
        make_delivery()
    steps = count_new()
    for _ in range(3):
        next(steps)
        assert read_delivery_counters() is None
    next(steps)
    assert (deliveries(), read_event_counters()) == ({"logged": 5}, None)
    assert len(list(steps)) == 2
    assert events() == {(RUN, "success"): 5}


def test_the_pause_between_batches_lets_deliveries_in(monkeypatch):
    monkeypatch.setattr(counters, "BATCH_SIZE", 2)
    pauses = []
    monkeypatch.setattr(counters.time, "sleep", lambda _: pauses.append(connection.in_atomic_block))
    for _ in range(5):
        make_delivery()
    count()
    assert len(pauses) == 4


def test_two_processes_count_each_row_once():
    for _ in range(3):
        make_delivery()
    first, second = count_new(), count_new()
    next(first)
    make_delivery()
    next(second)
    list(first)
    list(second)
    assert deliveries() == {"logged": 4}
    assert events() == {(RUN, "success"): 4}


def test_a_process_that_was_overtaken_counts_nothing(monkeypatch):
    make_delivery()
    CounterProgress.objects.create(table="logs_delivery")
    keys = counters.settled_keys

    def overtaken(rows, **options):
        found = keys(rows, **options)
        monkeypatch.setattr(counters, "settled_keys", keys)
        count()
        return found

    monkeypatch.setattr(counters, "settled_keys", overtaken)
    count()
    assert deliveries() == {"logged": 1}


def test_a_check_that_fails_counts_nothing_and_is_repeated(monkeypatch):
    make_delivery()
    with monkeypatch.context() as broken:
        broken.setattr(counters, "_add", _fail)
        with pytest.raises(ZeroDivisionError):
            count()
    count()
    assert deliveries() == {"logged": 1}


def _fail(*args, **options):
    raise ZeroDivisionError


def test_a_check_without_news_takes_four_statements():
    make_delivery()
    count()
    with CaptureQueriesContext(connection) as captured:
        count()
    assert len(captured) == 4


# Rows that PostgreSQL commits late.


class Late:
    """A row whose transaction has taken its key and is not committed; another connection's."""

    def __init__(self, row):
        self.connection = connections.create_connection("default")
        self.connection.inc_thread_sharing()
        self.connection.set_autocommit(False)
        columns = [column for column in row._meta.concrete_fields if not column.primary_key]
        names = ", ".join(f'"{column.column}"' for column in columns)
        places = ", ".join(["%s"] * len(columns))
        values = [column.get_db_prep_save(getattr(row, column.attname), self.connection) for column in columns]
        with self.connection.cursor() as cursor:
            cursor.execute(f"INSERT INTO {row._meta.db_table} ({names}) VALUES ({places})", values)

    def commit(self):
        self.connection.commit()
        self.connection.close()


@pytest.fixture
def open_transactions(transactional_db):
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has one writer at a time")


def late_delivery():
    received_at = make_event().received_at - timedelta(seconds=1)
    return Late(
        Delivery(
            received_at=received_at,
            judged_at=received_at,
            outcome="ping",
            verified=True,
            plausible=True,
            headers={},
            body=b"",
        )
    )


def test_a_delivery_with_a_lower_key_that_is_committed_later_is_not_missed(open_transactions):
    count()
    late = late_delivery()
    make_delivery()
    count()
    assert deliveries() == {}
    late.commit()
    count()
    assert deliveries() == {"logged": 1, "ping": 1}


def test_an_event_with_a_lower_key_that_is_committed_later_is_not_missed(open_transactions):
    count()
    late = Late(make_event())
    make_delivery()
    count()
    assert events() == {}
    late.commit()
    count()
    assert events() == {(RUN, "success"): 2}


def test_a_check_waits_a_little_for_open_transactions(open_transactions, monkeypatch):
    monkeypatch.setattr(counters, "WRITING_SECONDS", 10)
    count()
    late = late_delivery()
    make_delivery()
    Timer(0.1, late.commit).start()
    count()
    assert deliveries() == {"logged": 1, "ping": 1}


def test_counters_are_incomplete_while_an_old_row_cannot_be_counted(open_transactions):
    late = late_delivery()
    make_delivery()
    count()
    assert read_delivery_counters() is None
    late.commit()
    count()
    assert deliveries() == {"logged": 1, "ping": 1}
