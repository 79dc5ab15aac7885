"""What `manage.py prune` removes, what it leaves, and that nobody has to wait for it."""

import io
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Event as Flag

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from logs import retention
from logs.circleci import samples
from logs.models import Attempt, Delivery, Outcome, WorkflowEvent
from tests.plans import analyze

pytestmark = pytest.mark.django_db

SECRET = "a-secret-of-the-tests"
NOW = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)
DAY = timedelta(days=1)
INSTANT = timedelta(microseconds=1)
PAUSE_SECONDS = retention.LOCK_PAUSE_SECONDS


@pytest.fixture(autouse=True)
def every_rule_off(settings):
    settings.DELIVERY_RETENTION_DAYS = settings.DELIVERY_RETENTION_COUNT = settings.EVENT_RETENTION_DAYS = 0


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(retention, "LOCK_PAUSE_SECONDS", 0)


@pytest.fixture
def frozen():
    with time_machine.travel(NOW, tick=False) as clock:
        yield clock


def keep_delivery(age, **overrides):
    values = {"outcome": Outcome.PING, "verified": True, "plausible": True, "headers": {}, "body": b"{}"} | overrides
    moment = timezone.now() - age
    return Delivery.objects.create(received_at=moment, judged_at=moment, **values)


def keep_deliveries(count, **overrides):
    """Keep deliveries, the first of them the oldest, each a second apart and all older than two days."""
    values = {"outcome": Outcome.PING, "verified": True, "plausible": True, "headers": {}, "body": b"{}"} | overrides
    moments = [timezone.now() - 2 * DAY - timedelta(seconds=count - number) for number in range(count)]
    return Delivery.objects.bulk_create(Delivery(received_at=at, judged_at=at, **values) for at in moments)


def keep_event(age, event_id="event"):
    return WorkflowEvent.objects.create(event_id=event_id, received_at=timezone.now() - age, verified=True)


def prune(**options):
    output = io.StringIO()
    call_command("prune", stdout=output, **options)
    return output.getvalue()


def counts():
    return Delivery.objects.count(), WorkflowEvent.objects.count(), Attempt.objects.count()


def statements_of(call):
    with CaptureQueriesContext(
        connection,
    ) as captured:
        call()
    return [query["sql"] for query in captured]


def test_says_so_when_every_rule_is_off():
    keep_delivery(9_999 * DAY)
    keep_event(9_999 * DAY)
    assert "all retention settings are 0" in prune()
    assert counts() == (1, 1, 0)


def test_deliveries_go_once_they_are_older_than_the_days(settings, frozen):
    settings.DELIVERY_RETENTION_DAYS = 3
    keep_delivery(3 * DAY + INSTANT)
    kept = [keep_delivery(3 * DAY), keep_delivery(DAY)]
    assert "DELIVERY_RETENTION_DAYS=3: 1 deliveries deleted" in prune()
    assert list(Delivery.objects.order_by("pk")) == kept


def test_events_go_once_they_are_older_than_the_days(settings, frozen):
    settings.EVENT_RETENTION_DAYS = 3
    gone = keep_event(3 * DAY + INSTANT, "gone")
    kept = keep_event(3 * DAY, "kept")
    of_gone, of_kept = keep_delivery(DAY, event=gone), keep_delivery(DAY, event=kept)
    assert "EVENT_RETENTION_DAYS=3: 1 events deleted" in prune()
    assert WorkflowEvent.objects.get() == kept
    of_gone.refresh_from_db()
    of_kept.refresh_from_db()
    assert (of_gone.event, of_kept.event) == (None, kept)


@pytest.mark.parametrize(("limit", "kept"), [(1, 1), (4, 4), (5, 5), (6, 5), (10**9, 5)])
def test_deliveries_beyond_the_newest_go(settings, limit, kept):
    settings.DELIVERY_RETENTION_COUNT = limit
    rows = keep_deliveries(5)
    assert f"DELIVERY_RETENTION_COUNT={limit}: {5 - kept} deliveries deleted" in prune()
    assert list(Delivery.objects.order_by("received_at")) == rows[5 - kept :]


def test_deliveries_of_the_moment_of_the_last_one_that_is_kept_stay(settings, frozen):
    settings.DELIVERY_RETENTION_COUNT = 2
    for age in (DAY, DAY, DAY, 2 * DAY):
        keep_delivery(age)
    prune()
    assert set(Delivery.objects.values_list("received_at", flat=True)) == {NOW - DAY}
    assert Delivery.objects.count() == 3


def test_the_newest_are_those_that_arrived_last_whatever_their_number(settings):
    settings.DELIVERY_RETENTION_COUNT = 1
    latest = keep_delivery(DAY)
    keep_delivery(2 * DAY)
    prune()
    assert Delivery.objects.get() == latest


def test_what_one_rule_removes_is_not_counted_for_another(settings, frozen):
    settings.DELIVERY_RETENTION_DAYS, settings.DELIVERY_RETENTION_COUNT = 3, 2
    for days in (1, 2, 2.5, 4, 5):
        keep_delivery(days * DAY)
    told = prune()
    assert "DELIVERY_RETENTION_DAYS=3: 2 deliveries" in told
    assert "DELIVERY_RETENTION_COUNT=2: 1 deliveries" in told
    assert Delivery.objects.count() == 2


def test_attempts_go_with_their_delivery(settings):
    settings.DELIVERY_RETENTION_DAYS = 3
    for age in (4 * DAY, DAY):
        delivery = keep_delivery(age)
        Attempt.objects.create(delivery=delivery, attempted_at=NOW, outcome=Outcome.PING)
    prune()
    assert counts() == (1, 0, 1)


def test_deliveries_leave_their_event_behind(settings):
    settings.DELIVERY_RETENTION_DAYS = 3
    keep_delivery(4 * DAY, event=keep_event(4 * DAY))
    prune()
    assert counts() == (0, 1, 0)


def test_a_dry_run_deletes_nothing_and_tells_what_the_real_run_deletes(settings, frozen):
    settings.DELIVERY_RETENTION_DAYS, settings.DELIVERY_RETENTION_COUNT, settings.EVENT_RETENTION_DAYS = 4, 3, 5
    for days in range(1, 10):
        keep_delivery(days * DAY, event=keep_event(days * DAY, f"event-{days}"))
    before = counts()
    forecast = prune(dry_run=True)
    would_go = "would be deleted, received from"
    assert counts() == before
    assert forecast.splitlines() == [
        f"DELIVERY_RETENTION_DAYS=4: 5 deliveries {would_go} 2026-04-25 10:00:00 to 2026-04-29 10:00:00 UTC",
        f"DELIVERY_RETENTION_COUNT=3: 1 deliveries {would_go} 2026-04-30 10:00:00 to 2026-04-30 10:00:00 UTC",
        f"EVENT_RETENTION_DAYS=5: 4 events {would_go} 2026-04-25 10:00:00 to 2026-04-28 10:00:00 UTC",
        "Nothing was deleted: this was a dry run.",
    ]
    figures = re.compile(r"^(\w+=\d+: \d+ \w+)", re.MULTILINE)
    assert figures.findall(prune(batch_size=2)) == figures.findall(forecast)
    assert counts() == (3, 5, 0)


def test_a_dry_run_without_anything_to_delete_names_no_moments(settings):
    settings.DELIVERY_RETENTION_DAYS = 1
    assert prune(dry_run=True).splitlines()[0] == "DELIVERY_RETENTION_DAYS=1: 0 deliveries would be deleted"


def test_a_second_run_finds_nothing_left(settings):
    settings.DELIVERY_RETENTION_DAYS, settings.DELIVERY_RETENTION_COUNT = 1, 5
    keep_deliveries(5)
    prune()
    assert "0 deliveries deleted" in prune()


@pytest.mark.parametrize("rows", [0, 1, 6, 7, 13])
def test_batches_of_any_size_leave_no_row(settings, rows):
    settings.DELIVERY_RETENTION_DAYS = settings.EVENT_RETENTION_DAYS = 1
    for number, delivery in enumerate(keep_deliveries(rows)):
        event = keep_event(2 * DAY, f"event-{number}")
        Delivery.objects.filter(pk=delivery.pk).update(event=event)
    keep_delivery(timedelta(0))
    prune(batch_size=3)
    assert counts() == (1, 0, 0)


def test_rows_of_one_moment_go_in_several_batches(settings, frozen):
    settings.DELIVERY_RETENTION_DAYS = 1
    for _ in range(7):
        keep_delivery(2 * DAY)
    assert "7 deliveries deleted" in prune(batch_size=2)


@pytest.mark.django_db(transaction=True)
def test_each_batch_is_a_transaction_of_its_own(settings):
    settings.DELIVERY_RETENTION_DAYS = 1
    keep_deliveries(10)
    batches = retention.delete_in_batches(retention.rules()[0].rows, size=4)
    seen_by_others = []
    with ThreadPoolExecutor(1) as elsewhere:
        for _ in batches:
            assert not connection.in_atomic_block
            seen_by_others.append(elsewhere.submit(count_deliveries).result())
    assert seen_by_others == [6, 2, 0]


def count_deliveries():
    try:
        return Delivery.objects.count()
    finally:
        connection.close()


def statements_of_a_batch(rows, size):
    batches = filter(None, retention.delete_in_batches(rows, size=size))
    return statements_of(lambda: next(batches))


def test_a_batch_costs_a_fixed_number_of_queries_however_many_rows_there_are(settings):
    settings.DELIVERY_RETENTION_DAYS = 1
    keep_deliveries(30)
    few = statements_of_a_batch(retention.rules()[0].rows, 10)
    keep_deliveries(600)
    many = statements_of_a_batch(retention.rules()[0].rows, 10)
    assert len(few) == len(many) <= 8
    assert len(statements_of_a_batch(retention.rules()[0].rows, 500)) <= 13


def test_a_batch_of_events_with_many_deliveries_never_changes_more_than_its_size_at_once(settings):
    settings.EVENT_RETENTION_DAYS = 1
    keep_deliveries(25, event=keep_event(2 * DAY))
    statements = statements_of_a_batch(retention.rules()[2].rows, 10)
    updates = [sql for sql in statements if sql.startswith('UPDATE "logs_delivery"')]
    assert [len(re.findall(r"\d+", sql.partition(" IN (")[2])) for sql in updates[:3]] == [10, 10, 5]
    assert counts() == (25, 0, 0)
    assert not Delivery.objects.exclude(event=None).exists()


def test_bodies_are_never_read(settings):
    settings.DELIVERY_RETENTION_DAYS, settings.DELIVERY_RETENTION_COUNT, settings.EVENT_RETENTION_DAYS = 3, 1, 1
    keep_delivery(4 * DAY)
    keep_deliveries(3, event=keep_event(2 * DAY))
    statements = statements_of(prune)
    assert counts() == (1, 0, 0)
    assert [sql for sql in statements if "body" in sql or "*" in sql.replace("COUNT(*)", "")] == []


def test_nothing_is_counted_and_no_page_is_skipped_on_the_way(settings):
    settings.DELIVERY_RETENTION_DAYS = settings.EVENT_RETENTION_DAYS = 1
    keep_deliveries(5)
    statements = statements_of(lambda: prune(batch_size=2))
    assert [sql for sql in statements if "COUNT(" in sql or "OFFSET" in sql] == []


def test_what_goes_is_found_by_an_index(settings):
    settings.DELIVERY_RETENTION_DAYS = settings.EVENT_RETENTION_DAYS = 1
    for number in range(200):
        keep_delivery(2 * DAY + number * INSTANT, event=keep_event(2 * DAY + number * INSTANT, f"event-{number}"))
    analyze()
    by_age, _, of_events = retention.rules()
    settings.DELIVERY_RETENTION_DAYS, settings.DELIVERY_RETENTION_COUNT = 0, 50
    _, by_number, _ = retention.rules()
    for rows, index in (
        (by_age.rows, "delivery_newest"),
        (by_number.rows, "delivery_newest"),
        (of_events.rows, "event_newest"),
        (Delivery.objects.filter(event__in=[1, 2, 3]), "logs_delivery_event_id"),
    ):
        plan = plan_of(rows[:10])
        assert index in plan
        assert "temp b-tree" not in plan.lower()
        assert "sort" not in plan.lower()


def plan_of(rows):
    """Return the plan; PostgreSQL would scan a table as small as a test's, so that choice is taken from it."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
    return rows.explain()


def test_the_pause_lets_a_waiting_writer_in(settings, monkeypatch):
    settings.DELIVERY_RETENTION_DAYS = 1
    pauses = []
    monkeypatch.setattr(retention, "LOCK_PAUSE_SECONDS", PAUSE_SECONDS)
    monkeypatch.setattr(retention.time, "sleep", pauses.append)
    keep_deliveries(5)
    prune(batch_size=2)
    # SQLite's writers try again every 100 ms at the latest.
    assert len(pauses) == 2
    assert min(pauses) > 0.1


def test_ctrl_c_ends_between_batches_and_what_is_deleted_stays_deleted(settings, monkeypatch):
    settings.DELIVERY_RETENTION_DAYS = 1

    def interrupted(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(retention.time, "sleep", interrupted)
    keep_deliveries(5)
    output = io.StringIO()
    with pytest.raises(SystemExit) as end:
        call_command("prune", batch_size=2, stdout=output)
    assert end.value.code == 130
    assert "DELIVERY_RETENTION_DAYS=1: 2 deliveries deleted\nStopped." in output.getvalue()
    assert Delivery.objects.count() == 3


@pytest.mark.parametrize("size", ["0", "-1", "ten", "10001"])
def test_refuses_a_batch_size_out_of_bounds(size):
    with pytest.raises(CommandError, match=r"whole number|at most 10000"):
        call_command("prune", f"--batch-size={size}")


def test_accepts_the_largest_batch_size(settings):
    settings.DELIVERY_RETENTION_DAYS = settings.EVENT_RETENTION_DAYS = 1
    keep_deliveries(1_500, event=keep_event(2 * DAY))
    prune(batch_size=10_000)
    assert counts() == (0, 0, 0)


def post(document):
    body = samples.encode(document)
    headers = samples.headers(body, document, SECRET)
    return Client().generic("POST", "/log-circleci-webhook", body, headers=headers)


@pytest.mark.django_db(transaction=True)
def test_deliveries_that_arrive_meanwhile_are_all_logged(settings, webhook_secrets, workflow_document, monkeypatch):
    monkeypatch.setattr(retention, "LOCK_PAUSE_SECONDS", 0.005)
    settings.DELIVERY_RETENTION_DAYS = settings.EVENT_RETENTION_DAYS = 1
    for number in range(20):
        keep_deliveries(40, event=keep_event(2 * DAY, f"event-{number}"))
    is_over = Flag()

    def send(first):
        answers = []
        try:
            while not is_over.is_set() or len(answers) < 5:
                document = workflow_document(first + len(answers), happened_at=datetime.now(UTC))
                answers.append((document["id"], post(document).status_code))
        finally:
            connection.close()
        return answers

    with ThreadPoolExecutor(3) as threads:
        senders = [threads.submit(send, first) for first in (1_000, 2_000, 3_000)]
        try:
            prune(batch_size=20)
        finally:
            is_over.set()
        answers = [answer for sender in senders for answer in sender.result()]
    assert {status for _, status in answers} == {201}
    assert set(WorkflowEvent.objects.values_list("event_id", flat=True)) == {event_id for event_id, _ in answers}
    assert Delivery.objects.count() == len(answers)


@pytest.mark.django_db(transaction=True)
def test_two_runs_at_once_leave_nothing_and_count_nothing_twice(settings):
    settings.DELIVERY_RETENTION_DAYS = settings.EVENT_RETENTION_DAYS = 1
    for number in range(15):
        keep_deliveries(20, event=keep_event(2 * DAY, f"event-{number}"))

    def run(size):
        try:
            return prune(batch_size=size)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as threads:
        told = list(threads.map(run, [7, 11]))
    prune()
    assert counts() == (0, 0, 0)
    assert sum(int(re.search(r"DAYS=1: (\d+) deliveries", text)[1]) for text in told) == 300


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("model", [Delivery, WorkflowEvent])
def test_what_somebody_else_is_writing_is_left_to_the_next_run(settings, model):
    if connection.vendor == "sqlite":
        pytest.skip("SQLite locks no single rows")
    settings.DELIVERY_RETENTION_DAYS = settings.EVENT_RETENTION_DAYS = 1
    keep_deliveries(3)
    for number in range(3):
        keep_event(2 * DAY, f"event-{number}")
    locked, is_over = model.objects.order_by("pk")[1], Flag()

    def hold(is_held):
        try:
            with transaction.atomic():
                model.objects.select_for_update().get(pk=locked.pk)
                is_held.set()
                is_over.wait(timeout=3)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as elsewhere:
        holder = elsewhere.submit(hold, is_held := Flag())
        assert is_held.wait(timeout=3)
        prune(batch_size=2)
        left = [*Delivery.objects.only("pk"), *WorkflowEvent.objects.all()]
        is_over.set()
        holder.result()
    assert left == [locked]
    prune()
    assert counts() == (0, 0, 0)


def test_a_removed_event_is_not_resurrected_by_its_delivery(settings, deliver, workflow_document):
    settings.EVENT_RETENTION_DAYS = 3
    with time_machine.travel(NOW, tick=False) as clock:
        document = workflow_document(happened_at=NOW)
        assert deliver(document).status_code == 201
        clock.shift(3 * DAY)
        assert "0 events deleted" in prune()
        assert deliver(document).json()["outcome"] == "duplicate"
        clock.shift(INSTANT)
        assert "1 events deleted" in prune()
        answer = deliver(document)
    assert (answer.status_code, answer.json()["outcome"]) == (200, "expired")
    assert not WorkflowEvent.objects.exists()
    assert list(Delivery.objects.order_by("pk").values_list("outcome", "event")) == [
        ("logged", None),
        ("duplicate", None),
        ("expired", None),
    ]


@pytest.mark.parametrize(("age", "outcome"), [(3 * DAY, "logged"), (3 * DAY + timedelta(milliseconds=1), "expired")])
def test_an_event_is_too_old_to_be_logged_from_the_same_moment_on(settings, deliver, workflow_document, age, outcome):
    settings.EVENT_RETENTION_DAYS = 3
    document = workflow_document(happened_at=NOW - age)
    with time_machine.travel(NOW, tick=False):
        assert deliver(document).json()["outcome"] == outcome
    delivery = Delivery.objects.get()
    assert delivery.reason == ("older than EVENT_RETENTION_DAYS" if outcome == "expired" else "")
    assert (delivery.webhook, delivery.verified) == ("My CircleCI Webhook", True)
    assert delivery.project_slug == document["project"]["slug"]


def test_a_removed_event_comes_back_where_events_are_kept_for_ever(deliver, workflow_document):
    document = workflow_document()
    deliver(document)
    WorkflowEvent.objects.all().delete()
    assert deliver(document).json()["outcome"] == "logged"
