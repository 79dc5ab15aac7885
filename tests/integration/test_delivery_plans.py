"""Lists of deliveries, and what belongs to an event, are read from indexes."""

import random
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib import admin
from django.db import connection
from django.http import QueryDict
from django.test.utils import CaptureQueriesContext

from logs.admin.deliveries.replay_matching import Progress
from logs.models import ApiToken, Claim, Delivery, Outcome, WorkflowEvent
from logs.reading import conditions, pages
from tests.plans import assert_reads_little, plan_of, vacuum

pytestmark = pytest.mark.django_db

DELIVERIES = 10_000
NEWEST = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)
# The indexes on primary keys: SQLite gives a key that refers to another table one of its own.
BY_KEY = r"INTEGER PRIMARY KEY|sqlite_autoindex_logs_claim_\d"


@pytest.fixture(scope="module")
def django_db_setup(django_db_setup, django_db_blocker):
    """Fill the log once for all tests of this module; PostgreSQL counts what it holds, SQLite does so nowhere."""
    chance = random.Random(1)
    with django_db_blocker.unblock():
        events = WorkflowEvent.objects.bulk_create(
            WorkflowEvent(
                event_id=f"event-{number}",
                received_at=NEWEST,
                pipeline_id=f"pipeline-{number // 4}",
                pipeline_number=number // 4,
                revision=f"{number // 4:08x}",
                branch="main",
                project="press" if number % 10 == 0 else "cellar",
                status="failed" if number % 10 == 0 else "success",
                verified=True,
            )
            for number in range(DELIVERIES // 2)
        )
        deliveries = Delivery.objects.bulk_create(_delivery(number, chance, events) for number in range(DELIVERIES))
        refused = (delivery for delivery in deliveries if delivery.outcome == Outcome.UNVERIFIED)
        Claim.objects.bulk_create(
            Claim(delivery=delivery, project="press", pipeline_number=number, revision=f"{number:08x}")
            for number, delivery in enumerate(refused)
        )
        vacuum()
        yield
        Claim.objects.all().delete()
        Delivery.objects.all().delete()
        WorkflowEvent.objects.all().delete()


def _delivery(number, chance, events):
    refused = chance.random() < 0.02
    received_at = NEWEST - timedelta(minutes=DELIVERIES - number)
    return Delivery(
        received_at=received_at,
        judged_at=received_at,
        outcome=Outcome.UNVERIFIED if refused else Outcome.LOGGED,
        webhook="" if refused else "deploys",
        verified=not refused,
        plausible=True,
        client_address=f"2001:db8:{number % 50:x}::1",
        headers={},
        body=b"{}",
        event=None if refused else events[number // 2],
    )


@pytest.fixture
def deliveries_queries(user_with, client_of, monkeypatch):
    """Ask for an address and return the answer, and the queries over the log that it took."""
    monkeypatch.setattr(pages, "MAX_SCANNED", 200)
    client = client_of(user_with("view_workflowevent", "view_delivery", "view_delivery_body"))

    def ask(address):
        with CaptureQueriesContext(connection) as captured:
            answer = client.get(address)
        assert answer.status_code == 200, answer.content
        return answer, [one["sql"] for one in captured if '"logs_' in one["sql"]]

    return ask


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("", "delivery_newest"),
        ("ordering=received_at", "delivery_newest"),
        ("outcome=unverified", "delivery_outcome_newest"),
        ("outcome=forbidden", "delivery_outcome_newest"),
        ("received_before=2026-05-01", "delivery_newest"),
        ("outcome=logged&received_before=2026-05-01", "delivery_outcome_newest"),
    ],
)
def test_an_index_leads_to_the_deliveries(deliveries_queries, query, index):
    _, (sql,) = deliveries_queries(f"/deliveries?{query}")
    assert_reads_little(sql, rf"({index}|{BY_KEY})")


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("outcome=malformed,forbidden", "delivery_(outcome_)?newest"),
        ("webhook=unheard-of", "delivery_newest"),
        ("outcome=logged&verified=false", "delivery_outcome_newest"),
        ("project=unheard-of", "delivery_newest"),
        ("workflow=unheard-of&branch=main", "delivery_newest"),
        ("outcome=logged&status=error,failing", "delivery_outcome_newest"),
    ],
)
def test_where_no_index_leads_to_the_deliveries_a_page_searches_a_bounded_number(deliveries_queries, query, index):
    answer, (edge, page) = deliveries_queries(f"/deliveries?{query}")
    assert 'rel="next"' in answer.headers["Link"]
    for sql in (edge, page):
        assert_reads_little(sql, rf"({index}|{BY_KEY})")


@pytest.mark.parametrize("query", ["pipeline=77", "revision=0000004d", "revision=0000004d&project=press"])
def test_an_index_leads_to_what_reports_or_claims_a_pipeline_or_a_commit(deliveries_queries, query):
    answer, (reported, claimed, page) = deliveries_queries(f"/deliveries?{query}")
    assert {delivery["outcome"] for delivery in answer.json()} >= {"unverified"}
    for sql in (reported, claimed, page):
        indexes = r"(event|claim)_(pipeline_number|revision)|logs_delivery_event_id_\w+"
        assert_reads_little(sql, rf"({indexes}|{BY_KEY})", is_range=True, most=500)


def test_a_pipeline_that_many_deliveries_report_is_looked_for_among_the_newest(deliveries_queries, monkeypatch):
    monkeypatch.setattr(conditions, "FEW", 1)
    _, (_, _, edge, page) = deliveries_queries("/deliveries?pipeline=77")
    for sql in (edge, page):
        assert_reads_little(sql, rf"(delivery_newest|{BY_KEY})")


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("", "delivery_newest"),
        ("outcome=logged", "delivery_outcome_newest"),
        ("webhook=unheard-of", "delivery_newest"),
        ("outcome=unverified,forbidden", "delivery_newest"),
    ],
)
def test_the_neighbours_of_a_delivery_are_read_from_its_place_in_the_index(rf, monkeypatch, query, index):
    monkeypatch.setattr(pages, "MAX_SCANNED", 200)
    row = Delivery.objects.order_by("pk")[DELIVERIES // 2]
    with CaptureQueriesContext(connection) as captured:
        admin.site.get_model_admin(Delivery).trail(rf.get("/", {"list": query}), row)
    assert len(captured) == (2 if query in ("", "outcome=logged") else 4)
    for one in captured:
        assert_reads_little(one["sql"], rf"({index}|{BY_KEY})")


@pytest.mark.parametrize("query", ["", "&outcome=logged", "&webhook=deploys", "&verified=true"])
def test_the_stream_reads_on_behind_its_cursor(deliveries_queries, query):
    _, (keys, sizes, rows) = deliveries_queries(f"/deliveries/stream?wait=0&after=start{query}")
    for sql in (keys, sizes):
        assert_reads_little(sql, "INTEGER PRIMARY KEY", is_range=True)
    assert_reads_little(rows, f"({BY_KEY})")


@pytest.mark.parametrize("query", ["status=failed", "status=failed,error", "project=press"])
def test_the_stream_looks_up_the_events_of_its_deliveries_and_not_all_of_that_kind(deliveries_queries, query):
    _, (_, sizes, _) = deliveries_queries(f"/deliveries/stream?wait=0&after=start&{query}")
    plan = plan_of(sizes)
    assert "event_status_newest" not in plan
    assert "event_project_newest" not in plan


def test_an_event_leads_to_its_deliveries_its_payload_and_its_pipeline(deliveries_queries):
    for address in ("/deliveries?event=event-77", "/fetch-webhooks-logs/event-77"):
        _, queries = deliveries_queries(address)
        for sql in queries:
            assert_reads_little(sql, r"(sqlite_autoindex_\w+|event_\w+|logs_delivery_event_id_\w+|INTEGER PRIMARY KEY)")


def test_a_token_is_found_by_its_digest(client, user_with):
    _, key = ApiToken.issue(user_with("view_workflowevent"), name="plans", lifetime=None)
    with CaptureQueriesContext(connection) as captured:
        client.get("/fetch-webhooks-logs", headers={"authorization": f"Bearer {key}"})
    (lookup,) = (one["sql"] for one in captured if 'FROM "logs_apitoken"' in one["sql"])
    if connection.vendor == "sqlite":
        assert_reads_little(lookup, r"(sqlite_autoindex_\w+|token_digest_unique)")


@pytest.mark.parametrize("address", ["2001:db8:1::7", "2001:db8:1:2::7", "192.0.2.1", None])
def test_the_refused_deliveries_of_a_client_are_read_from_an_index(address):
    with CaptureQueriesContext(connection) as captured:
        Delivery.objects.count_refused_from(address, since=NEWEST - timedelta(minutes=1))
    assert_reads_little(captured[0]["sql"], "delivery_refused_client", is_range=True, most=100)


@pytest.mark.parametrize(
    "query",
    [
        "",
        "outcome=unverified",
        "outcome=logged",
        "webhook=unheard-of",
        "verified=false&received_after=2026-04-28",
        "address=x",
    ],
)
def test_what_a_replay_of_all_matches_takes_is_read_from_the_index_of_refused_deliveries(query):
    with CaptureQueriesContext(connection) as captured:
        progress = Progress.start(QueryDict(query))
        progress.after = progress.until // 2
        progress.next_keys()
    _, *groups = (one["sql"] for one in captured)  # The first reads the row with the highest key.
    assert len(groups) == 2 * 4
    for sql in groups:
        assert_reads_little(sql, r"delivery_refused \(verified=\? AND plausible=\? AND id", is_range=True)
