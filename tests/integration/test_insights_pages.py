"""The table of workflows, and the page of a workflow."""

import html
import re
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from logs.admin.insights import table, workflow
from logs.admin.insights.query import window_labels
from logs.insights import flaky as insights_flaky
from logs.insights.figures import DEFINITIONS
from logs.insights.windows import LENGTHS
from logs.models import Flake, HourlyWorkflow, RollupState, Standing, WorkflowEvent
from tests.integration.dashboard_log import (
    HOSTILE,
    HOUR,
    NOW,
    SLUG,
    make_event,
    make_runs,
    make_standing,
    query_of,
    section,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("half_past_two", "large_log", "counted")]

TABLE, PAGE = reverse("admin:insights"), reverse("admin:workflow")
EVENT = "admin:logs_workflowevent_change"
DAY = timedelta(days=1)
ONE = {"project": SLUG, "workflow": "deploy"}


@pytest.fixture(autouse=True)
def no_known_projects():
    """The cache of projects is that of another test."""
    cache.clear()


@pytest.fixture
def viewer(watched, staff_with):
    """A client whose user may view events, and nothing else."""
    return staff_with("view_workflowevent")


def read(client, url, status=200, **query):
    answer = client.get(url, query)
    assert answer.status_code == status, answer
    return answer.content.decode()


def text_of(page):
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page)).split())


def rows(page):
    """Return the text of each row of the table."""
    body = re.search(r"<tbody>.*?</tbody>", page, re.DOTALL)[0]
    return [text_of(row) for row in re.findall(r"<tr>.*?</tr>", body, re.DOTALL)]


def names(page):
    return [row.split()[0] for row in rows(page)]


def links_of(page, text):
    """Return the URLs of the links with a text."""
    links = re.findall(r'<a\s[^>]*href="([^"]*)"[^>]*>(.*?)</a>', page, re.DOTALL)
    return [html.unescape(url) for url, label in links if text in text_of(label)]


# The table.


def test_a_row_has_the_figures_of_a_workflow(viewer):
    make_runs(7, bucket=100)
    make_runs(2, "failed", 30, bucket=120)
    make_runs(1, "canceled", 30, bucket=None)
    make_event(stopped_at=NOW - 3 * HOUR)
    make_event(status="success", received_at=NOW - HOUR, stopped_at=NOW - HOUR)
    (row,) = rows(read(viewer, TABLE))
    assert row == "deploy press 10 2 77.7 % 70 % of all 5 2 min 14 s 5 min 57 s 2 h failures in 1 of 30 bars"


def test_shows_the_slugs_of_projects_that_share_a_name(viewer):
    make_runs(3, workflow="deploy")
    make_runs(2, project_slug="gitlab/orchard/press", workflow="lint")
    make_runs(1, project_slug="github/orchard/mill", project="mill", workflow="grind")
    found = [" ".join(row.split()[:2]) for row in rows(read(viewer, TABLE, ordering="-total_runs"))]
    assert found == [f"deploy {SLUG}", "lint gitlab/orchard/press", "grind mill"]
    assert rows(read(viewer, TABLE, project=SLUG))[0].startswith("deploy press")


def test_the_second_rate_is_left_out_if_it_is_the_same(viewer):
    make_runs(3)
    make_runs(1, "failed")
    assert "of all" not in rows(read(viewer, TABLE))[0]


def make_three():
    """Make three workflows: `b` runs most, `a` fails, and the only run of `c` was canceled."""
    make_runs(9, workflow="b", bucket=90)
    make_runs(4, workflow="a", bucket=100)
    make_runs(1, "failed", workflow="a", bucket=100)
    make_runs(1, "canceled", workflow="c", bucket=None)


@pytest.mark.parametrize(
    ("ordering", "expected"),
    [
        ("", "bac"),
        ("total_runs", "cab"),
        ("workflow", "abc"),
        ("-workflow", "cba"),
        ("success_rate", "abc"),
        ("-success_rate", "bac"),
        ("-failed_runs", "abc"),
        ("median_seconds", "bac"),
        ("-p95_seconds", "abc"),
        ("-throughput", "bac"),
        ("mttr", "abc"),
    ],
)
def test_is_sorted_by_any_column(viewer, ordering, expected):
    make_three()
    page = read(viewer, TABLE, **({"ordering": ordering} if ordering else {}))
    assert "".join(names(page)) == expected
    sorted_by = re.findall(r'aria-sort="(\w+)">\s*<a href="[^"]*ordering=(-?)(\w+)"', page)
    column = (ordering or "-total_runs").removeprefix("-")
    is_ascending = ordering and not ordering.startswith("-")
    # The link reverses the order.
    assert sorted_by == [("ascending" if is_ascending else "descending", "-" if is_ascending else "", column)]


def test_each_column_but_the_last_can_be_sorted(viewer):
    make_three()
    page = read(viewer, TABLE, project=SLUG)
    links = [query_of(html.unescape(link)) for link in re.findall(r'href="(\?[^"]*ordering=[^"]*)"', page)]
    assert [link.pop("ordering").removeprefix("-") for link in links] == [
        *("workflow", "total_runs", "failed_runs", "success_rate", "throughput"),
        *("median_seconds", "p95_seconds", "mttr"),
    ]
    assert links == [{"project": SLUG}] * 8


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"project": "PRESS"}, "ab"),
        ({"project": SLUG, "workflow": "b"}, "b"),
        ({"project": "mill"}, "d"),
        ({"window": "24h"}, "abd"),
        ({"window": "90d"}, "abdo"),
        ({"default_branch": "true"}, "a"),
        ({"received_after": "2026-05-03T00:00Z"}, "abd"),
        ({"received_after": "2026-03-01", "received_before": "2026-04-01"}, "o"),
        ({}, "abd"),
    ],
)
def test_shows_the_selected_workflows(viewer, query, expected):
    make_runs(1, workflow="a").__class__.objects.update(on_default_branch=True)
    make_runs(1, workflow="b")
    make_runs(1, workflow="d", project="mill", project_slug="github/orchard/mill")
    make_runs(1, workflow="o", hours_ago=50 * 24)
    assert "".join(names(read(viewer, TABLE, **query, ordering="workflow"))) == expected


def chips(page):
    return {
        text_of(label): (query_of(f"?{html.unescape(change)}") if change else {}, pressed)
        for change, pressed, label in re.findall(
            r'<button type="submit"\s+name="set"\s+value="([^"]*)"\s+aria-pressed="(\w+)">(.*?)</button>', page
        )
    }


def test_a_chip_selects_a_window_in_place_of_times(viewer):
    make_runs(3)
    page = read(viewer, TABLE)
    assert [label for label, (_, pressed) in chips(page).items() if pressed == "true"] == ["30 days", "All branches"]
    page = read(viewer, TABLE, received_after="7d")
    assert [label for label, (_, pressed) in chips(page).items() if pressed == "true"] == ["All branches"]
    form = {"received_after": "7d", "from": "", "to": "", "project": "press", "workflow": ""}
    answer = viewer.get(TABLE, form | {"set": "window=90d&received_after=&received_before="})
    assert query_of(answer.url) == {"project": "press", "window": "90d"}


def test_date_pickers_replace_the_window(viewer):
    form = {"window": "90d", "from": "2026-05-01T10:00", "to": "", "project": "", "workflow": ""}
    answer = viewer.get(TABLE, form)
    assert query_of(answer.url) == {"received_after": "2026-05-01T10:00Z"}
    page = read(viewer, TABLE + answer.url)
    assert 'value="2026-05-01T10:00"' in page


@pytest.mark.parametrize(
    "times", [{"received_after": "1d", "received_before": "2d"}, {"received_before": "0001-01-02"}]
)
def test_a_period_without_runs_is_shown(viewer, times):
    make_runs(3)
    assert 'class="empty"' in read(viewer, TABLE, **times)
    read(viewer, PAGE, **ONE, **times)


def test_every_window_can_be_selected():
    assert window_labels().keys() == LENGTHS.keys()


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ({"window": "1y"}, "window: 1y is not a window; use 24h, 7d, 30d, 60d, 90d."),
        ({"window": "7d", "received_after": "7d"}, "window: leave it out, or leave out received_after"),
        ({"received_after": "whenever"}, "received_after: Invalid time 'whenever'"),
        ({"ordering": "colour"}, "ordering must be one of: total_runs, -total_runs"),
        ({"page": "0"}, "page must be a whole number from 1 to 1, or all."),
        ({"page": "2"}, "page must be a whole number from 1 to 1, or all."),
        ({"page": "x" * 1_000}, "page must be a whole number from 1 to 1, or all."),
        ({"default_branch": "perhaps"}, "default_branch: It must be true or false."),
        ({"branch": "main"}, "Unknown parameter 'branch'; there are: default_branch, ordering, page, project"),
        ({"project": "a\x00"}, "project: Null characters are not allowed."),
        ({"project": ["a", "b"]}, "project is given 2 times; give it once."),
        ({HOSTILE: "1"}, "Unknown parameter"),
    ],
)
def test_a_wrong_parameter_is_an_error_on_the_page(viewer, query, problem):
    make_runs(3)
    page = read(viewer, TABLE, 400, **query)
    assert problem in html.unescape(re.search(r'role="alert">(.*?)</p>', page, re.DOTALL)[1])
    assert "<script>alert" not in page
    assert "Table of workflows" not in page


def test_shows_fifty_workflows_a_page_or_all(viewer, monkeypatch):
    monkeypatch.setattr(table, "PAGE_SIZE", 2)
    monkeypatch.setattr(table, "MOST_ON_ONE_PAGE", 4)
    for number in range(5):
        make_runs(9 - number, workflow=f"w{number}")
    first = read(viewer, TABLE, window="7d")
    assert (names(first), links_of(first, "Previous")) == (["w0", "w1"], [])
    (link,) = links_of(first, "Next")
    second = read(viewer, TABLE + link)
    assert (names(second), links_of(second, "First")) == (["w2", "w3"], ["?window=7d"])
    third = read(viewer, TABLE + links_of(second, "Next")[0])
    assert (names(third), links_of(third, "Next")) == (["w4"], [])
    assert links_of(third, "Previous") == ["?window=7d&page=2"]
    everything = read(viewer, TABLE + links_of(first, "Show 4")[0])
    assert names(everything) == ["w0", "w1", "w2", "w3"]
    assert "Only the first 4 of 5 workflows are shown." in text_of(everything)


def test_a_row_leads_to_the_page_of_the_workflow_in_the_same_window(viewer):
    make_runs(3)
    page = read(viewer, TABLE, window="7d", default_branch="false", ordering="workflow", project="press")
    (link,) = links_of(page, "deploy")
    assert urlsplit(link).path == PAGE
    assert query_of(link) == ONE | {"window": "7d", "default_branch": "false"}
    assert viewer.get(link).status_code == 200


def test_a_workflow_that_no_query_can_name_has_no_link(viewer):
    make_runs(3, workflow="")
    make_runs(3, project_slug="")
    assert PAGE not in read(viewer, TABLE)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ({}, "No workflow ran in this time."),
        ({"project": SLUG, "window": "24h"}, "No workflow ran in this time."),
        ({"project": "garden"}, "The log has no such project."),
    ],
)
def test_says_if_there_is_nothing_to_show(viewer, query, text):
    make_runs(3, hours_ago=60 * 24)
    page = read(viewer, TABLE, **query)
    assert text in text_of(page)
    assert bool(links_of(page, "Clear filters")) is bool(query)


@pytest.mark.parametrize("url", [TABLE, PAGE])
def test_says_since_when_runs_are_counted(viewer, url):
    make_runs(3)
    assert "Counted only" not in text_of(read(viewer, url, **ONE))
    RollupState.objects.update(counted_from=NOW - DAY)
    assert "First counted hour: 2026-05-03 14:30:00 UTC ." in text_of(read(viewer, url, **ONE))
    make_event(received_at=NOW - 2 * DAY)
    text = text_of(read(viewer, url, **ONE))
    assert "Counted only since 2026-05-03 14:30:00 UTC , so older events are missing." in text
    assert "The watch is counting the rest." in text
    assert "Counted only" not in text_of(read(viewer, url, **ONE, window="24h"))
    RollupState.objects.update(complete_until=NOW - HOUR)
    assert "Counted only until" in text_of(read(viewer, url, **ONE, window="24h"))


@pytest.mark.parametrize("url", [TABLE, PAGE])
def test_gives_the_formulas_of_the_api_and_translates_them(viewer, url, monkeypatch):
    make_runs(3)
    text = text_of(read(viewer, url, **ONE))
    for name in ("total_runs", "failed_runs", "success_rate", "success_rate_of_all", "throughput", "mttr"):
        assert DEFINITIONS[name] in text
    monkeypatch.setattr("django.utils.translation._trans.gettext", lambda text: f"«{text}»", raising=False)
    assert f"«{DEFINITIONS['p95_seconds']}»" in text_of(read(viewer, url, **ONE))


# The page of a workflow.


def test_shows_the_figures_of_the_workflow(viewer):
    make_runs(7, bucket=100)
    make_runs(2, "failed", 30, bucket=120)
    make_runs(1, "canceled", 30, bucket=None)
    make_runs(5, workflow="other")
    make_runs(5, project_slug="github/orchard/mill", project="mill")
    text, _ = section(read(viewer, PAGE, **ONE), "figures")
    for figure in (
        "Runs 10 5 per day",
        "Failed 2",
        "Success 77.7 % 70 % of all runs",
        "Median 2 min 14 s 2 min 14 s to 5 min 57 s",
        "95th percentile 5 min 57 s",
        "Recovery – nothing recovered",
        "Durations of a minute or more are accurate to within 3%.",
    ):
        assert figure in text


def test_draws_runs_and_durations_over_time(viewer):
    make_runs(6, hours_ago=1, bucket=100)
    make_runs(3, "failed", 1, bucket=100)
    make_runs(2, "canceled", 9, bucket=None)
    page = read(viewer, PAGE, **ONE, window="7d")
    text, links = section(page, "runs")
    assert "Runs per 6 h" in text
    assert "The highest bar, from 2026-05-04 09:00 UTC, has 9 runs." in text
    assert "Mon 2026-05-04 09:00 3 2 6 11" not in text
    assert "Mon 2026-05-04 09:00 3 0 6 9" in text
    assert {tuple(query_of(link).items())[2:4] for link in links} == {(("project", SLUG), ("workflow", "deploy"))}
    text, _ = section(page, "durations")
    assert "Mon 2026-05-04 09:00 9 2 min 14 s 2 min 14 s" in text
    # One step has durations, which gives two dots and no line. The legend has one of each, too.
    assert (page.count('class="line-'), page.count('class="dot-')) == (2, 4)


@pytest.mark.parametrize(
    ("query", "step"),
    [
        ({"window": "24h"}, "hour"),
        ({"window": "30d"}, "day"),
        ({"window": "90d"}, "3 d"),
        ({"received_after": "2026-05-04T14:00Z", "received_before": "2026-05-04T15:00Z"}, "hour"),
        ({"received_after": "2020-01-01", "received_before": "2026-05-05"}, "77 d 5 h"),
    ],
)
def test_names_the_steps_of_charts(viewer, query, step):
    make_runs(3)
    page = read(viewer, PAGE, **ONE, **query)
    for name, title in (("runs", "Runs"), ("durations", "Durations")):
        assert section(page, name)[0].startswith(f" {title} per {step} ")


def test_a_workflow_without_durations_has_no_chart_of_them(viewer):
    make_runs(3, bucket=None)
    page = read(viewer, PAGE, **ONE)
    assert ("durations-title" in page, "runs-title" in page) == (False, True)


def test_default_branches_are_shown_apart(viewer):
    make_runs(3).__class__.objects.update(on_default_branch=True)
    make_runs(4)
    assert "Runs 7 " in section(read(viewer, PAGE, **ONE), "figures")[0]
    page = read(viewer, PAGE, **ONE, default_branch="true")
    assert "Runs 3 " in section(page, "figures")[0]
    assert re.search(r'aria-current="page">Default branches', page)


def test_a_branch_has_exact_figures(viewer):
    make_runs(100)
    for seconds, branch in ((61.9, "main"), (70, "main"), (500, "topic")):
        make_event(branch=branch, status="success", duration_seconds=seconds)
    page = read(viewer, PAGE, **ONE, branch="main")
    text, _ = section(page, "figures")
    assert "Runs 2 " in text
    assert "1 min 1 s to 1 min 10 s" in text
    assert "Exact figures, from at most 5,000 runs." in text
    assert "runs-title" not in page
    assert 'value="main"' in page
    assert "The workflow did not run in this time." in read(viewer, PAGE, **ONE, branch="pears")


def make_job(status="success", **values):
    return make_event(event_type="job-completed", status=status, **{"job": "test", "duration_seconds": 60} | values)


def make_run_with_jobs(number, *jobs):
    make_event(status="success", workflow_id=f"id-{number}", duration_seconds=100)
    for job in jobs:
        make_job(workflow_id=f"id-{number}", **job)


def test_shows_the_slowest_and_the_least_reliable_jobs(viewer):
    make_runs(3)
    for number in range(3):
        make_run_with_jobs(
            number,
            {"job": "quick", "duration_seconds": 10, "status": "failed" if number else "success"},
            {"job": "slow", "duration_seconds": 300 + number, "status": "success" if number else "failed"},
            {"job": "steady", "duration_seconds": 20},
        )
    make_run_with_jobs(3, {"job": "rare", "duration_seconds": 900, "status": "failed"})
    page = read(viewer, PAGE, **ONE)
    text, links = section(page, "slowest")
    assert re.findall(r"quick|slow|steady|rare", text) == ["slow", "steady", "quick"]
    assert "slow 5 min 1 s median of 3 runs; 95th percentile 5 min 2 s" in text
    assert query_of(links[0]).items() >= {"job": "slow", "ordering": "-duration", "project": SLUG}.items()
    text, links = section(page, "reliable")
    assert re.findall(r"quick|slow|steady|rare", text) == ["quick", "slow"]
    assert "quick 33.3 % success; 2 of 3 runs failed" in text
    assert query_of(links[0])["event_type"] == "job-completed"
    assert "From the jobs of the newest 4 runs." in text_of(page)


def test_lists_recoveries_with_links_to_their_runs(viewer, monkeypatch):
    monkeypatch.setattr(workflow, "SHOWN_BREAKAGES", 2)
    make_runs(3)
    for hours, status, branch in ((9, "failed", "old"), (8, "failed", "main"), (6, "success", "main")):
        at = NOW - hours * HOUR
        make_event(status=status, branch=branch, received_at=at, stopped_at=at)
    failed, recovered = WorkflowEvent.objects.filter(branch="main").order_by("received_at")
    make_event(branch="open", stopped_at=NOW - HOUR, received_at=NOW - HOUR)
    text, links = section(read(viewer, PAGE, **ONE), "recoveries")
    assert re.findall(r"open|main|old", text) == ["open", "main"]
    assert "not yet" in text
    assert text.count("2 h") == 1
    for pk in (failed.pk, recovered.pk):
        assert reverse(EVENT, args=[pk]) in links
    assert reverse("admin:pipeline", args=[failed.pk]) in links
    assert links[-1].startswith(reverse("logs:recoveries"))
    assert viewer.get(links[-1]).json()["has_more"] is False


def test_a_failure_without_a_recovery_has_lasted_until_now_or_the_end_of_the_window(viewer):
    make_runs(3)
    make_event(branch="open", stopped_at=NOW - 5 * HOUR, received_at=NOW - 5 * HOUR)
    assert "1 5 h so far" in section(read(viewer, PAGE, **ONE), "recoveries")[0]
    times = {
        "received_after": f"{NOW - 9 * HOUR:%Y-%m-%dT%H:%MZ}",
        "received_before": f"{NOW - 2 * HOUR:%Y-%m-%dT%H:%MZ}",
    }
    assert "1 3 h 30 min so far" in section(read(viewer, PAGE, **ONE, **times), "recoveries")[0]


def test_says_on_which_default_branches_the_workflow_is_broken(viewer, settings):
    settings.DEFAULT_BRANCHES = ["main", "release/*"]
    make_runs(3)
    first, last = make_event(happened_at=NOW - 9 * HOUR), make_event()
    for values in (
        {"failures": 1_234},
        {"branch": "release/7", "last_run_at": NOW},
        {"branch": "topic"},
        {"branch": "release/6", "last_run_at": NOW - 31 * DAY},
        {"project_slug": "github/orchard/cellar"},
        {"workflow": "nightly"},
    ):
        make_standing(last, first, **values)
    make_standing(last, None, branch="release/8")
    text = text_of(read(viewer, PAGE, **ONE))
    assert re.findall(r"✕ broken on (\S+) since [^·]+ UTC · (\S+) failed runs", text) == [
        ("release/7", "2"),
        ("main", "1,234"),
    ]
    assert text.count("✕ broken") == 2


def make_flake(**values):
    return Flake.objects.create(
        **{
            "project_slug": SLUG,
            "project": "press",
            "workflow": "deploy",
            "job": "test",
            "branch": "main",
            "revision": "0" * 40,
            "is_proven": True,
            "failures": 1,
            "failed": make_event(),
            "succeeded": make_event(),
            "first_failed_at": NOW - HOUR,
            "seen_at": NOW - HOUR,
            "noted_at": NOW,
        }
        | values
    )


def test_lists_the_flaky_jobs_of_the_workflow_only(viewer):
    make_runs(3)
    make_flake()
    make_flake(workflow="other", job="lint")
    make_flake(job="")
    make_flake(project_slug="github/orchard/mill", job="mill-test")
    text, _ = section(read(viewer, PAGE, **ONE), "flaky")
    assert re.findall(r"mill-test|lint|test deploy", text) == ["test deploy"]


def test_links_to_the_runs_and_to_the_same_figures_in_the_api(viewer):
    make_runs(7)
    make_runs(2, "failed")
    page = read(viewer, PAGE, **ONE, window="7d")
    (api,) = links_of(page, "Figures in the API")
    (found,) = viewer.get(api).json()["workflows"]
    assert (found["total_runs"], found["failed_runs"]) == (9, 2)
    (runs,) = [link for link in links_of(page, "Runs") if link.startswith("/admin/logs/workflowevent/")]
    assert query_of(runs) == ONE | {
        "event_type": "workflow-completed",
        "received_after": "2026-04-27T15:00Z",
        "received_before": "2026-05-04T15:00Z",
    }
    for link in re.findall(r'href="([^"]*)"', page.partition("<main")[2]):
        if not link.startswith(("#", "?")):
            assert viewer.get(html.unescape(link)).status_code == 200, link


def test_windows_replace_times(viewer):
    make_runs(3)
    page = read(viewer, PAGE, **ONE, received_after="2026-05-01", branch="main")
    assert [query_of(link) for link in links_of(page, "7 days")] == [ONE | {"branch": "main", "window": "7d"}]
    assert re.findall(r'aria-current="page">([^<]*)<', page.partition("<main")[2]) == []
    page = read(viewer, PAGE, **ONE)
    current = re.findall(r'aria-current="page">([^<]*)<', page.partition("<main")[2])
    assert current == ["30 days", "All branches"]


@pytest.mark.parametrize(
    "query", [ONE | {"workflow": "unknown"}, ONE | {"project": "garden"}, {"project": HOSTILE, "workflow": HOSTILE}]
)
def test_says_that_there_is_no_such_workflow(viewer, query):
    make_runs(3)
    page = read(viewer, PAGE, 404, **query)
    assert "The log has no runs of this workflow." in text_of(page)
    assert links_of(page, "All workflows") == [TABLE]
    assert "<script>alert" not in page


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ({}, "project and workflow are required."),
        ({"project": SLUG}, "project and workflow are required."),
        ({"project": "press", "workflow": "deploy"}, f"use a slug: {SLUG}, github/other/press."),
        (ONE | {"window": "1y"}, "window: 1y is not a window"),
        (ONE | {"step": "day"}, "Unknown parameter 'step'"),
        (ONE | {"workflow": ["a", "b"]}, "workflow is given 2 times"),
        (ONE | {"workflow": "x" * 1_000}, "workflow: Ensure this value has at most 500 characters"),
    ],
)
def test_a_wrong_query_for_a_workflow_is_an_error_on_the_page(viewer, query, problem):
    make_runs(3)
    make_runs(3, project_slug="github/other/press")
    assert problem in text_of(read(viewer, PAGE, 400, **query))


def test_an_empty_branch_selects_all_branches(viewer):
    answer = viewer.get(PAGE, ONE | {"branch": ""})
    assert (answer.status_code, query_of(answer.url)) == (302, ONE)


@pytest.mark.parametrize("slug", [HOSTILE, "a b/ü?x=1#y", "a/&window=1y", "x" * 255, "../../logout", "a\nb"])
def test_hostile_names_are_text(viewer, slug):
    times = {"stopped_at": NOW - HOUR, "received_at": NOW - HOUR}
    last = make_event(**times, project_slug=slug, project=HOSTILE, workflow=HOSTILE, branch=HOSTILE)
    make_runs(3, project_slug=slug, project=HOSTILE, workflow=HOSTILE)
    make_flake(project_slug=slug, project=HOSTILE, workflow=HOSTILE, job=HOSTILE)
    page = read(viewer, TABLE)
    (link,) = [html.unescape(each) for each in re.findall(rf'href="({PAGE}[^"]*)"', page)]
    assert parse_qs(urlsplit(link).query) == {"project": [slug], "workflow": [HOSTILE]}
    for each in (page, read(viewer, link), read(viewer, f"{link}&branch=%3Cscript%3Ealert")):
        assert "<script>alert" not in each
        assert " style=" not in each
    assert reverse(EVENT, args=[last.pk]) in read(viewer, link)


# Who may see them, how one finds them, and what they cost.


@pytest.mark.parametrize("url", [TABLE, PAGE])
def test_users_without_permission_are_refused(client, staff_with, url):
    answer = client.get(url)
    assert (answer.status_code, urlsplit(answer.url).path) == (302, reverse("admin:login"))
    other = staff_with("view_delivery")
    assert other.get(url, ONE).status_code == 403
    assert other.post(url).status_code == 405
    assert TABLE not in read(other, reverse("admin:index"))


def test_other_pages_lead_to_them(viewer):
    make_event()
    make_runs(3)
    index, project = reverse("admin:index"), reverse("admin:project", args=[SLUG])
    page = read(viewer, index, period="7d", project="press")
    assert links_of(page, "Insights") == [
        TABLE,
        f"{TABLE}?project=github%2Forchard%2Fpress&window=7d",
        f"{PAGE}?project=github%2Forchard%2Fpress&workflow=deploy&window=7d",
    ]
    assert links_of(page, "All workflows") == [f"{TABLE}?project=github%2Forchard%2Fpress&window=7d"]
    assert links_of(read(viewer, project), "Insights") == [
        TABLE,
        f"{TABLE}?project=github%2Forchard%2Fpress",
        f"{PAGE}?project=github%2Forchard%2Fpress&workflow=deploy",
    ]


def fill(count):
    for number in range(count):
        make_runs(3, workflow=f"flow-{number}", hours_ago=number)
        make_runs(3, hours_ago=number)
        for status, at in (("failed", NOW - (number + 1) * HOUR), ("success", NOW - (number + 0.5) * HOUR)):
            make_event(status=status, workflow_id=f"id-{number}", stopped_at=at, received_at=at)
        make_job(workflow_id=f"id-{number}", job=f"job-{number}")
        make_flake(revision=f"{number:040x}", job=f"job-{number}")
        run = make_event(branch=f"release/{number}")
        make_standing(run, run, branch=f"release/{number}")


@pytest.mark.parametrize(
    ("url", "query", "expected"),
    [
        # Session, user, two for permissions; how far is counted, twice, and the watch; five for figures, one for bars.
        (TABLE, {}, 13),
        # One to find out whether older events are missing.
        (TABLE, {"page": "all", "window": "90d"}, 14),
        # As the table; the projects, two for jobs, two for flaky jobs, one for broken branches.
        (PAGE, ONE, 19),
        # One for exact figures instead of two; no charts.
        (PAGE, ONE | {"branch": "main"}, 17),
    ],
)
def test_a_page_costs_the_same_number_of_queries_however_much_there_is(viewer, url, query, expected):
    counts = []
    for count in (2, 20):
        fill(count)
        cache.clear()
        with CaptureQueriesContext(connection) as captured:
            read(viewer, url, **query)
        counts.append(len(captured))
        for model in (Flake, Standing, WorkflowEvent, HourlyWorkflow):
            model.objects.all().delete()
    assert counts == [expected] * 2


def test_flakes_of_other_workflows_are_read_up_to_a_limit(viewer, monkeypatch):
    monkeypatch.setattr(insights_flaky, "MOST_READ", 1)
    make_runs(3)
    for number in range(3):
        make_flake(revision=f"{number:040x}", job=f"job-{number}", seen_at=NOW - number * HOUR)
    text, _ = section(read(viewer, PAGE, **ONE), "flaky")
    assert set(re.findall(r"job-\d", text)) == {"job-0", "job-1"}
