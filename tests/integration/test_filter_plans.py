"""Every list is read from indexes: whatever is asked for, a page costs what its rows cost, not what the log holds."""

import random
import re
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.contrib import admin
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from logs.admin.events.code_host import RECENT_RUNS, run_before
from logs.models import WorkflowEvent
from logs.reading import pages, search
from logs.reading.search import FEW
from tests.plans import assert_reads_little, plan_of, vacuum

pytestmark = pytest.mark.django_db

EVENTS = 20_000
SCANNED = 200
PIPELINES = reverse("admin:pipelines")
NEWEST = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def django_db_setup(django_db_setup, django_db_blocker):
    """Fill the log once for all tests of this module, and let the database count what it holds."""
    with django_db_blocker.unblock():
        WorkflowEvent.objects.bulk_create(_events(random.Random(1)), batch_size=2_000)
        vacuum()
        yield
        WorkflowEvent.objects.all().delete()


def _events(chance):
    for number in range(EVENTS):
        project = int(chance.paretovariate(0.6)) % 200
        workflow = f"workflow-{project}-{number % 10}"
        yield WorkflowEvent(
            event_id=f"event-{number}",
            event_type="workflow-completed" if number % 3 else "job-completed",
            happened_at=NEWEST - timedelta(minutes=EVENTS - number, seconds=chance.randrange(60)),
            received_at=NEWEST - timedelta(minutes=EVENTS - number),
            name="deploys",
            project=f"project-{project}",
            project_slug=f"github/orchard/project-{project}",
            project_id=f"00000000-0000-0000-0000-{project:012}",
            organization="orchard",
            workflow=workflow,
            workflow_id=f"workflow-id-{number // 4}",
            job="" if number % 3 else f"job-{number % 7}",
            status="failed" if chance.random() < 0.03 else "success",
            branch="main" if chance.random() < 0.5 else f"branch-{number // 5}" if number % 10 else f"20{number}",
            tag="" if number % 50 else f"v1.{number}",
            revision=f"{chance.getrandbits(160):040x}",
            commit_subject=f"Mend the {chance.choice(['gate', 'fence', 'well', 'roof'])} of shed {number}",
            author=f"author-{int(chance.paretovariate(0.5)) % 300}",
            pipeline_id=f"pipeline-id-{number // 8}",
            pipeline_number=number // 8,
            trigger="webhook",
            duration_seconds=chance.expovariate(1 / 300),
            verified=True,
        )


# What is asked for, and the index that SQLite reads it from.
# fmt: off
SERVED = [
    ("",                                                    "event_newest"),
    ("ordering=received_at",                                "event_newest"),
    ("ordering=-happened_at",                               "event_happened"),
    ("ordering=happened_at",                                "event_happened"),
    ("ordering=-duration",                                  "event_duration"),
    ("ordering=duration",                                   "event_duration"),
    ("project=project-7",                                   "event_project_newest"),
    ("project=github/orchard/project-7",                    "event_project_slug_newest"),
    ("project=00000000-0000-0000-0000-000000000007",        "event_project_id_newest"),
    ("workflow=workflow-1-1",                               "event_workflow_newest"),
    ("job=job-3",                                           "event_job_newest"),
    ("status=failed",                                       "event_status_newest"),
    ("status=nonsense",                                     "event_status_newest"),
    ("branch=main",                                         "event_branch_newest"),
    ("branch=MAIN",                                         "event_branch_newest"),
    ("branch=BRANCH-778*",                                  "event_branch_newest"),
    ("branch=branch-77",                                    "event_branch_newest"),
    ("tag=v1.50",                                           "event_tag"),
    ("revision=abcd",                                       "event_revision"),
    ("revision=aBCd",                                       "event_revision"),
    ("author=author-1",                                     "event_author_newest"),
    ("pipeline=17",                                         "event_pipeline_number"),
    ("workflow_id=workflow-id-9",                           "event_workflow_id"),
    ("pipeline_id=pipeline-id-9",                           "event_pipeline_id"),
    ("received_after=2026-05-04&received_before=2026-05-05", "event_newest"),
]
SEARCHED = [
    ("organization=elsewhere",                              "event_newest"),
    ("event_type=nonsense",                                 "event_newest"),
    ("webhook=nonsense",                                    "event_newest"),
    ("trigger=nonsense",                                    "event_newest"),
    ("verified=false",                                      "event_newest"),
    ("status=error,failing",                                "event_newest"),
    ("min_duration=1000000",                                "event_newest"),
    ("max_duration=0",                                      "event_newest"),
    ("happened_before=2020-01-01",                          "event_newest"),
    ("happened_after=2030-01-01",                           "event_newest"),
    ("verified=false&ordering=received_at",                 "event_newest"),
    ("q=修正",                                               "event_newest"),
    ("q=修正&verified=true&ordering=-duration",              "event_duration"),
    ("project=project-1&q=gate 修正",                        "event_project_newest"),
    ("project=project-1&status=nonsense",                   "event_project_newest"),
    ("branch=branch-*",                                     "event_newest"),
    ("branch=20*",                                          "event_newest"),
    ("author=*-29*",                                        "event_newest"),
    ("branch=main&author=author-29*",                       "event_branch_newest"),
    ("project=project-1&workflow=workflow-1-*",              "event_project_newest"),
    ("status=success&verified=false",                       "event_status_newest"),
    ("verified=false&ordering=-duration",                   "event_duration"),
    ("verified=false&ordering=happened_at",                 "event_happened"),
]
# fmt: on


LOOKED_UP = {"project", "workflow", "job", "branch", "tag", "author"}


def is_look_up(sql):
    return "WITH RECURSIVE letters" in sql


@pytest.fixture
def events_queries(reader, monkeypatch):
    """Ask for a list and return the answer, and the queries over events that it took."""
    monkeypatch.setattr(pages, "MAX_SCANNED", SCANNED)

    def ask(query):
        with CaptureQueriesContext(connection) as captured:
            answer = reader.get(f"/fetch-webhooks-logs?{query}")
        assert answer.status_code == 200, answer.content
        statements = [one["sql"] for one in captured if "logs_workflowevent" in one["sql"]]
        looked_up = [sql for sql in statements if is_look_up(sql)]
        assert len(looked_up) == sum(each.split("=")[0] in LOOKED_UP for each in query.split("&"))
        for sql in looked_up:
            assert_reads_little(sql, r"event_\w+", is_range=True, most=20_000)
        # An EXPLAIN, by which PostgreSQL is asked how frequent a word is, reads no rows.
        return answer, [sql for sql in statements if sql not in looked_up and not sql.startswith("EXPLAIN")]

    return ask


@pytest.mark.parametrize(("query", "index"), SERVED)
def test_an_index_leads_to_the_rows(events_queries, query, index):
    _, (sql,) = events_queries(query)
    assert_reads_little(sql, index)


@pytest.mark.parametrize(("query", "index"), SEARCHED)
def test_where_no_index_leads_to_the_rows_a_page_searches_a_bounded_number_of_them(events_queries, query, index):
    answer, (edge, page) = events_queries(query)
    assert 'rel="next"' in answer.headers["Link"]
    assert f"LIMIT {SCANNED}" in edge
    assert_reads_little(edge, index)
    assert_reads_little(page, index, is_range=True)


def test_a_name_that_the_log_does_not_contain_is_only_looked_up(events_queries):
    answer, queries = events_queries("branch=main&author=nobody&verified=false")
    assert (answer.json(), queries) == ([], [])
    assert "next" not in answer.headers["Link"]


def test_words_that_few_events_hold_lead_to_them(events_queries):
    answer, (search, page) = events_queries("q=shed 777")
    assert len(answer.json()) == 14  # Of shed 777, and of those whose numbers start with it.
    assert f"LIMIT {FEW + 1}" in search
    assert_reads_little(search, "event_search")
    assert_reads_little(page, "INTEGER PRIMARY KEY")


@pytest.mark.parametrize("words", ["nothing like this", "gate fence"])
def test_words_that_no_event_holds_are_only_looked_up(events_queries, words):
    answer, (search,) = events_queries(f"q={words}")
    assert answer.json() == []
    assert_reads_little(search, "event_search")


def test_words_that_many_events_hold_are_searched_like_any_other_condition(events_queries):
    answer, (search, edge, page) = events_queries("q=gate&verified=false")
    assert 'rel="next"' in answer.headers["Link"]
    assert f"LIMIT {FEW + 1}" in search
    assert_reads_little(edge, "event_newest")
    assert_reads_little(page, "event_newest", is_range=True)


def test_a_page_that_searches_for_words_does_not_go_through_all_rows_that_hold_them(events_queries, monkeypatch):
    if connection.vendor != "postgresql":
        pytest.skip("SQLite's index of words has a table of its own")
    monkeypatch.setattr(search, "FEW", -1)
    monkeypatch.setattr(search, "MANY", -1)
    # So many that PostgreSQL would rather ask the index of words.
    monkeypatch.setattr(pages, "MAX_SCANNED", EVENTS // 2)
    _, (_, page) = events_queries("q=gate fence")
    assert "event_newest" in plan_of(page)
    assert "event_search" not in plan_of(page)


@pytest.mark.parametrize("query", ["project=project-1&received_after=2026-05-01", "verified=false&received_after=31d"])
def test_a_short_time_is_sorted_by_another_column_without_a_search(events_queries, query):
    with time_machine.travel(NEWEST):
        _, (sql,) = events_queries(f"{query}&ordering=-duration")
    assert '"received_at" >=' in sql


def test_sqlite_sorts_the_rows_of_another_index_where_postgresql_searches(events_queries):
    _, (edge, page) = events_queries("project=project-1&ordering=-duration")
    assert_reads_little(edge, "event_duration")
    assert_reads_little(page, "event_project_newest")


def test_a_deep_page_starts_in_the_index(events_queries):
    for ordering in ("-received_at", "received_at", "-happened_at", "duration"):
        address = f"ordering={ordering}&limit=100"
        for _ in range(5):
            answer, (sql,) = events_queries(address)
            address = re.search(r"\?([^>]*)>; rel=.next", answer.headers["Link"])[1]
        index = {"received_at": "event_newest", "happened_at": "event_happened"}.get(ordering[-11:].strip("-"))
        assert_reads_little(sql, index or "event_duration", is_range=True)


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("", "event_newest"),
        ("ordering=received_at", "event_newest"),
        ("ordering=-happened_at", "event_happened"),
        ("ordering=duration", "event_duration"),
        ("project=project-1&ordering=received_at", "event_project_newest"),
        ("status=success", "event_status_newest"),
        ("verified=false", "event_newest"),
        ("branch=main&author=author-29*", "event_branch_newest"),
        ("verified=false&ordering=-duration", "event_duration"),
    ],
)
def test_the_neighbours_of_a_row_are_read_from_its_place_in_the_index(rf, monkeypatch, query, index):
    monkeypatch.setattr(pages, "MAX_SCANNED", SCANNED)
    row = WorkflowEvent.objects.get(event_id=f"event-{EVENTS // 2}")
    with CaptureQueriesContext(connection) as captured:
        admin.site.get_model_admin(WorkflowEvent).trail(rf.get("/", {"list": query}), row)
    statements = [one["sql"] for one in captured if not is_look_up(one["sql"])]
    assert len(statements) == (4 if "verified" in query or "author" in query else 2)
    for sql in statements:
        assert_reads_little(sql, index, is_range=True)


def test_the_commit_before_is_read_from_the_index_of_a_branchs_runs():
    row = WorkflowEvent.objects.filter(project="project-1", branch="main").newest_first()[0]
    with CaptureQueriesContext(connection) as captured:
        assert run_before(row)[0]
    (query,) = captured
    assert f"LIMIT {RECENT_RUNS}" in query["sql"]
    assert_reads_little(query["sql"], "event_workflow_runs", is_range=True, most=RECENT_RUNS)


@pytest.fixture
def pipelines_queries(admin_client, monkeypatch):
    """Ask for the list of pipelines and return the answer, and the queries over events that it took."""
    monkeypatch.setattr(pages, "MAX_SCANNED", SCANNED)

    def ask(query):
        with CaptureQueriesContext(connection) as captured:
            answer = admin_client.get(f"{PIPELINES}{query}")
        assert answer.status_code == 200, answer.content
        return answer, [one["sql"] for one in captured if "logs_workflowevent" in one["sql"]]

    return ask


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("", "event_newest"),
        ("branch=main", "event_branch_newest"),
        ("status=success", "event_status_newest"),
        ("verified=true", "event_newest"),
        ("project=project-1&event_type=workflow-completed", "event_project_newest"),
    ],
)
def test_pages_of_pipelines_are_read_from_indexes(pipelines_queries, query, index):
    answer, (*found, events) = pipelines_queries(f"?{query}")
    for statement in found:
        assert_reads_little(statement, index)
    assert_reads_little(events, "event_pipeline_id")
    answer, (*found, earlier, events) = pipelines_queries(answer.context["older_link"])
    for statement in found:
        assert_reads_little(statement, index, is_range=True)
    assert_reads_little(earlier, "event_pipeline_id")
    assert connection.vendor != "sqlite" or "SEARCH U0 USING INTEGER PRIMARY KEY" in plan_of(earlier)
    assert_reads_little(events, "event_pipeline_id")
    assert answer.context["rows"]


def test_the_page_of_a_pipeline_is_read_from_indexes(pipelines_queries):
    event = WorkflowEvent.objects.get(event_id="event-4711")
    _, (_event, events, neighbours) = pipelines_queries(f"{event.pk}/")
    assert_reads_little(events, "event_pipeline_id")
    assert_reads_little(neighbours, "event_pipeline_number")
