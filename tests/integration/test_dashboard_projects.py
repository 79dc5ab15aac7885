"""The dashboard of one project: how it is found, that its figures are its own, and what they cost."""

import random
import re
from collections import Counter
from html import unescape

import pytest
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from logs.insights.counting import refresh
from logs.insights.dashboard import read_dashboard
from logs.insights.periods import period_of
from logs.insights.projects import Project
from logs.models import RollupState, Source
from tests.integration.dashboard_log import (
    DASHBOARD,
    DELIVERIES,
    HOSTILE,
    HOUR,
    NOW,
    SLUG,
    make_body,
    make_delivery,
    make_event,
    make_runs,
    make_standing,
    make_statuses,
    query_of,
    section,
    signed_with,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("half_past_two")]

MILL = "github/orchard/mill"
PROJECT_ID = "0b6f6b1e-91a5-4b8c-8f0e-5d1f4ad3c2b7"


@pytest.fixture
def two_projects(ops):
    """A log in which two projects ran, one of which is broken."""
    make_runs(5, "failed")
    make_runs(3, workflow="lint")
    make_runs(70, project_slug=MILL, project="mill", workflow="grind")
    make_statuses(1_000)
    event = make_event(project_id=PROJECT_ID)
    make_standing(event, event)
    other = make_event(project="mill", project_slug=MILL, workflow="grind")
    make_standing(other, other, project_slug=MILL, project="mill", workflow="grind")


def read(client, status=200, **query):
    answer = client.get(DASHBOARD, {"period": "24h"} | query)
    assert answer.status_code == status
    return answer.content.decode()


def heading(page):
    return " ".join(unescape(re.sub("<[^>]*>", " ", re.search("<h1>.*?</h1>", page, re.DOTALL)[0])).split())


def runs(slug, hours, rng):
    """Make events of a project, and return those that are runs, each with its age in hours."""
    made = []
    for _ in range(40):
        hours_ago = rng.randrange(hours)
        kind = rng.choice(["workflow-completed", "job-completed"])
        event = make_event(
            project_slug=slug,
            event_type=kind,
            workflow=rng.choice(["deploy", "lint"]),
            status=rng.choice(["success", "failed", "error", "canceled"]),
            received_at=NOW - hours_ago * HOUR,
            changed_at=NOW,
        )
        if kind == "workflow-completed":
            made.append((event, hours_ago))
    return made


def test_the_sums_of_a_project_are_those_counted_by_hand(ops):
    rng = random.Random(1)
    RollupState.objects.update(counted_until=NOW - 50 * HOUR, complete_until=NOW - 50 * HOUR)
    own = runs(SLUG, 48, rng)
    runs(MILL, 48, rng)
    list(refresh())
    figures = read_dashboard(
        period_of("24h", timezone.now()), Project(slug=SLUG, name="press", label="press"), with_refusals=True
    ).figures
    now = [(event, hours) for event, hours in own if hours < 24]
    statuses = Counter(event.status for event, _ in now)
    good, bad = statuses["success"], statuses["failed"] + statuses["error"]
    assert (figures.totals.events.now, figures.totals.events.before) == (len(now), len(own) - len(now))
    assert figures.totals.failed_runs.now == bad
    assert figures.totals.success_rate.now == good / (good + bad)
    by_hour = Counter(hours for _, hours in now)
    assert [column.bar.total for column in figures.chart.columns] == [by_hour[hours] for hours in reversed(range(24))]
    by_workflow = Counter(event.workflow for event, _ in now)
    assert {each.workflow.name: each.runs for each in figures.workflows} == by_workflow


@pytest.mark.parametrize(
    "text",
    [
        "press",
        "PRESS",
        SLUG,
        SLUG.upper(),
        "gh/orchard/press",
        f"https://app.circleci.com/pipelines/{SLUG}/7/workflows/8",
        PROJECT_ID,
        PROJECT_ID.upper(),
        " press ",
    ],
)
def test_a_project_is_found_by_its_name_slug_id_or_page(two_projects, ops, text):
    page = read(ops, project=text)
    assert heading(page) == f"press {SLUG}"
    assert "grind" not in page
    assert "Workflow runs 8 " in section(page, "totals")[0]
    assert "Successful workflows 37.5 % " in section(page, "totals")[0]
    assert "deploy press 5 runs of deploy" in section(page, "workflows")[0]
    assert "press › deploy" in section(page, "broken")[0]


def test_a_project_is_found_by_an_event_that_is_not_counted_yet(ops):
    make_event(project="new", project_slug="github/orchard/new")
    assert heading(read(ops, project="new")) == "new github/orchard/new"


def test_no_figure_of_the_whole_site_is_on_the_page_of_a_project(two_projects, ops):
    make_delivery(reason="a reason of its own")
    page = read(ops, project="press")
    assert re.findall(r'aria-labelledby="(\w+)-title"', page.split('id="applications-title"')[0])[:6] == [
        "broken",
        "totals",
        "hours",
        "workflows",
        "workflows",
        "slowest",
    ]
    assert "a reason of its own" not in page
    assert "1,000" not in page
    assert "Refused deliveries and webhooks are not counted per project." in page
    assert "Jobs are not counted per project." in page


def test_each_list_that_a_project_links_to_is_the_projects_own(two_projects, ops):
    page = read(ops, project="press")
    links = [link for name in ("totals", "hours", "workflows", "slowest") for link in section(page, name)[1]]
    assert len(links) > 10
    for link in links:
        assert query_of(link)["project"] == SLUG
        assert link.startswith("/admin/insights/") or query_of(link)["event_type"] == "workflow-completed"
        assert ops.get(link).status_code == 200
    own = [unescape(link) for link in re.findall(r'href="(\?[^"]*)"', page)]
    assert [query_of(link) for link in own] == [
        {"period": "24h"},
        {"period": "24h", "project": SLUG},  # The wall.
        {"period": "24h", "project": SLUG},
        {"period": "7d", "project": SLUG},
        {"period": "24h"},
    ]


@pytest.mark.parametrize("text", ["nothing", HOSTILE, "\x00%_", "a" * 10_000, "github/orchard/", "😀", "%", PROJECT_ID])
@pytest.mark.parametrize("mode", [{}, {"wall": ""}])
def test_an_unknown_project_is_said_to_be_unknown(ops, text, mode):
    make_runs(3)
    page = read(ops, 404, project=text, **mode)
    assert "Unknown project:" in page
    assert "<script>alert" not in page
    assert re.search(r'<a href="\?period=24h">View all projects</a>', page)
    assert "Totals" not in page


@pytest.mark.parametrize("text", ["", " ", "\x00"])
def test_no_project_is_the_whole_site(two_projects, ops, text):
    assert "Events 1,000 " in section(read(ops, project=text), "totals")[0]


def test_projects_of_one_name_are_told_apart_by_their_slugs(two_projects, ops):
    make_runs(4, project_slug="github/elsewhere/press", project="press")
    page = read(ops, project="press")
    assert "Several projects have this name:" in page
    links = [unescape(link) for link in re.findall(r'<li>\s*<a href="(\?[^"]*)"', page)]
    assert [query_of(link)["project"] for link in links] == ["github/elsewhere/press", SLUG]
    assert "Workflow runs 4 " in section(read(ops, project="github/elsewhere/press"), "totals")[0]
    options = re.findall(r'<option value="([^"]*)">', page)
    assert options == ["github/elsewhere/press", "mill", SLUG]


def test_hostile_projects_are_text(ops):
    make_runs(3, project_slug=f"github/{HOSTILE}", project=HOSTILE)
    page = read(ops, project=HOSTILE)
    assert "<script>alert" not in page
    assert query_of(section(page, "totals")[1][0])["project"] == f"github/{HOSTILE}"


def test_the_figures_of_projects_are_remembered_apart(two_projects, ops):
    for name, count in (("press", 8), ("mill", 70), ("press", 8)):
        assert f"Workflow runs {count} " in section(read(ops, project=name), "totals")[0]
    with CaptureQueriesContext(connection) as again:
        read(ops, project="press")
    assert not [query for query in again.captured_queries if "hourlyworkflow" in query["sql"]]


def test_nothing_is_known_of_a_project_whose_source_is_silent(ops, settings):
    settings.CIRCLECI_WEBHOOK_SECRETS = {"Orchard": "s"}
    make_runs(3)
    make_runs(3, project_slug=MILL, project="mill")
    for slug, state, hours_ago in ((SLUG, "silent", 9), (MILL, "up", 0)):
        Source.objects.create(
            webhook="Orchard", project_slug=slug, state=state, last_delivery_at=NOW - hours_ago * HOUR
        )
    assert "state unknown" in section(read(ops, project="press"), "broken")[0]
    assert "Nothing is broken" in section(read(ops, project="mill"), "broken")[0]
    assert "Nothing is broken" in section(read(ops), "broken")[0]


def test_says_nothing_of_projects_to_those_who_may_not_view_events(counted, staff_with):
    make_runs(3)
    client = staff_with("view_delivery")
    for text in ("press", "nothing"):
        page = read(client, project=text)
        assert "You need permission to view events" in page
        assert SLUG not in page
        assert "Unknown project" not in page


def fill():
    for number in range(40):
        make_runs(number + 1, "failed", workflow=f"w{number}")
        make_runs(number + 1, project_slug=f"github/orchard/{number}", project=f"{number}")
        good, last = make_event(status="success"), make_event(workflow=f"w{number}", workflow_id=f"run {number}")
        make_body(last)
        make_standing(last, last, good, workflow=last.workflow)
        Source.objects.create(webhook=f"Orchard {number}", project_slug=SLUG, state="up")


@pytest.mark.parametrize(("query", "count"), [({"project": "press"}, 31), ({"project": "press", "wall": ""}, 31)])
def test_costs_the_same_number_of_queries_however_much_there_is(ops, settings, query, count):
    settings.CIRCLECI_WEBHOOK_SECRETS = {"Orchard": "s"}
    make_delivery("logged", webhook="Orchard", **signed_with("s", SLUG))
    Source.objects.create(webhook="Orchard", project_slug=SLUG, state="up", last_delivery_at=NOW)
    event = make_event(workflow_id="run")
    make_standing(event, event, make_event(status="success"))
    make_runs(1)
    with CaptureQueriesContext(connection) as little:
        read(ops, **query)
    fill()
    settings.CIRCLECI_WEBHOOK_SECRETS |= {f"Orchard {number}": "s" for number in range(40)}
    cache.clear()
    with CaptureQueriesContext(connection) as much:
        read(ops, **query)
    assert (len(little), len(much)) == (count, count)


def test_deliveries_are_not_read_for_a_project(two_projects, ops):
    assert DELIVERIES not in section(read(ops, project="press"), "totals")[1]
