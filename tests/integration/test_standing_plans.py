"""A page of changes or standings is read from indexes, and costs what its rows cost, whatever the log holds."""

import random
import re
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from logs.models import Standing, StateChange, WorkflowEvent
from logs.reading import pages
from tests.plans import assert_reads_little, vacuum

pytestmark = pytest.mark.django_db

ROWS = 10_000
SCANNED = 200
NEWEST = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def django_db_setup(django_db_setup, django_db_blocker):
    """Fill the log once for all tests of this module; PostgreSQL counts what it holds, SQLite does so nowhere."""
    chance = random.Random(1)
    with django_db_blocker.unblock():
        events = WorkflowEvent.objects.bulk_create(
            [
                WorkflowEvent(event_id=f"event-{number}", received_at=NEWEST, verified=True)
                for number in range(ROWS // 2)
            ],
            batch_size=2_000,
        )
        StateChange.objects.bulk_create((_change(number, chance, events) for number in range(ROWS)), batch_size=2_000)
        Standing.objects.bulk_create((_standing(number, chance, events) for number in range(ROWS)), batch_size=2_000)
        vacuum()
        yield
        for model in (StateChange, Standing, WorkflowEvent):
            model.objects.all().delete()


def _branch(number, chance):
    project = int(chance.paretovariate(0.6)) % 50
    return {
        "project_slug": f"github/orchard/project-{project}",
        "project": f"project-{project}",
        "workflow": "deploy" if number % 2 else "nightly",
        "branch": "main" if number % 2 else f"branch-{number}",
    }


def _change(number, chance, events):
    return StateChange(
        **_branch(number, chance),
        # Half of the events are gone.
        event_id=events[number].pk if number < len(events) else 10_000_000 + number,
        kind="broke" if number % 2 else "fixed",
        happened_at=NEWEST - timedelta(minutes=number),
        noted_at=NEWEST,
        failures=1,
        quiet_reason="" if chance.random() < 0.9 else "imported",
    )


def _standing(number, chance, events):
    is_bad = number % 50 == 0
    return Standing(
        **_branch(number, chance) | {"branch": f"branch-{number}"},
        project_id=f"00000000-0000-0000-0000-{number % 50:012}",
        tone="bad" if is_bad else "good",
        failures=int(is_bad),
        last=events[number % len(events)],
        last_good_id=10_000_000 + number,
        broken_since=events[number % len(events)] if is_bad else None,
        last_run_at=NEWEST - timedelta(minutes=number),
    )


@pytest.fixture
def queries(reader, monkeypatch):
    """Ask for an address and return the answer, and the queries over changes and standings that it took."""
    monkeypatch.setattr(pages, "MAX_SCANNED", SCANNED)

    def ask(address):
        with CaptureQueriesContext(connection) as captured:
            answer = reader.get(address)
        assert answer.status_code == 200, answer.content
        return answer, [one["sql"] for one in captured if re.search(r'FROM "logs_(statechange|standing)"', one["sql"])]

    return ask


@pytest.mark.parametrize(
    ("address", "index"),
    [
        ("/api/changes?", "change_newest"),
        ("/api/changes?ordering=happened_at", "change_newest"),
        ("/api/changes?happened_before=2026-05-02", "change_newest"),
        ("/api/changes?happened_after=2026-05-02&happened_before=2026-05-03&ordering=happened_at", "change_newest"),
        ("/api/standings?", "standing_last_run"),
        ("/api/standings?ordering=last_run_at", "standing_last_run"),
        ("/api/standings?tone=bad", "standing_bad"),
        ("/api/standings?tone=bad&ordering=last_run_at", "standing_bad"),
    ],
)
def test_an_index_leads_to_the_rows(queries, address, index):
    _, (sql,) = queries(address)
    assert_reads_little(sql, rf"({index}|INTEGER PRIMARY KEY)")


@pytest.mark.parametrize(
    ("address", "index"),
    [
        ("/api/changes?project=nothing", "change_newest"),
        ("/api/changes?project=github/orchard/nothing", "change_newest"),
        ("/api/changes?workflow=nothing&branch=main", "change_newest"),
        ("/api/changes?project=github/orchard/project-1&workflow=deploy&branch=nothing", "change_newest"),
        ("/api/changes?project=github/orchard/project-1&workflow=nothing&ordering=happened_at", "change_newest"),
        ("/api/changes?kind=fixed&branch=main", "change_newest"),
        ("/api/changes?loud=false&branch=nothing&happened_before=2026-05-04", "change_newest"),
        ("/api/standings?project=nothing", "standing_last_run"),
        ("/api/standings?project=github/orchard/nothing", "standing_last_run"),
        ("/api/standings?project=ffffffff-0000-0000-0000-000000000007", "standing_last_run"),
        ("/api/standings?project=github/orchard/project-1&workflow=deploy&branch=nothing", "standing_last_run"),
        ("/api/standings?tone=good&workflow=nothing", "standing_last_run"),
        ("/api/standings?branch=nothing&ordering=last_run_at", "standing_last_run"),
    ],
)
def test_where_no_index_leads_to_the_rows_a_page_searches_a_bounded_number_of_them(queries, address, index):
    answer, (edge, page) = queries(address)
    assert answer.json() == []
    assert 'rel="next"' in answer.headers["Link"]
    assert f"LIMIT {SCANNED}" in edge
    for sql in (edge, page):
        assert_reads_little(sql, rf"({index}|INTEGER PRIMARY KEY)", most=2 * SCANNED)
    assert "JOIN" not in edge


def test_a_search_among_the_broken_reads_the_broken_only(queries):
    monitored = "/api/standings?tone=bad&workflow=nothing"
    answer, (edge, page) = queries(monitored)
    assert answer.json() == []
    for sql in (edge, page):
        assert_reads_little(sql, "(standing_bad|INTEGER PRIMARY KEY)", most=2 * SCANNED)


@pytest.mark.parametrize("address", ["/api/changes?limit=100", "/api/standings?limit=100", "/api/standings?tone=bad"])
def test_a_deep_page_starts_in_the_index(queries, address):
    for _ in range(3):
        answer, (sql,) = queries(address)
        address = re.search(r"<https?://[^/]+([^>]*)>; rel=.next", answer.headers["Link"])[1]
    index = "change_newest" if "changes" in address else "standing_bad" if "tone" in address else "standing_last_run"
    assert_reads_little(sql, rf"({index}|INTEGER PRIMARY KEY)")


def test_the_good_have_no_index_and_are_searched_for(queries):
    _, (edge, page) = queries("/api/standings?tone=good")
    assert f"LIMIT {SCANNED}" in edge
    for sql in (edge, page):
        assert_reads_little(sql, "(standing_last_run|INTEGER PRIMARY KEY)", most=2 * SCANNED)
