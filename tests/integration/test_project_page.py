"""The page of a project, the page of flaky jobs, and the badge on a run that was flaky."""

import re
from datetime import timedelta
from html import unescape

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import NoReverseMatch, reverse

from logs.admin import projects as admin_projects
from logs.insights import flaky as insights_flaky
from logs.insights import project_figures
from logs.models import Flake, HourlyWorkflow, RollupState, Source, Standing, WatchTask, Workflow, WorkflowEvent
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

FLAKY = reverse("admin:flaky")
PAGE = reverse("admin:project", args=[SLUG])
DAY = timedelta(days=1)
HOSTILE_SLUGS = [
    HOSTILE,
    "a b/ü?x=1#y",
    "%2e%2e/x",
    "\\\\evil.example/x",
    "//evil.example",
    "a\nb",
    "x" * 255,
    "newer",
    "/",
]


def make_flake(number=1, **overrides):
    """Make a flake of the job `test` with its runs."""
    values = {
        "project_slug": SLUG,
        "project": "press",
        "workflow": "deploy",
        "job": "test",
        "branch": "main",
        "revision": f"{number:040x}",
        "is_proven": True,
        "failures": 1,
        "first_failed_at": NOW - 3 * HOUR,
        "seen_at": NOW - number * HOUR,
        "noted_at": NOW,
    } | overrides
    common = {name: values[name] for name in ("project_slug", "project", "workflow", "job", "revision")}
    common["event_type"] = "job-completed" if values["job"] else "workflow-completed"
    runs = {
        f"{name}_id": make_event(status=status, **common).pk
        for name, status in (("failed", "failed"), ("succeeded", "success"))
        if f"{name}_id" not in overrides
    }
    return Flake.objects.create(**values | runs)


@pytest.fixture
def watched(watched):
    """A watch that runs, and has looked for flakes."""
    WatchTask.objects.create(name="flaky", last_finished_at=NOW, last_started_at=NOW, cursor={"until": NOW.isoformat()})


@pytest.fixture
def viewer(watched, staff_with):
    """A client whose user may view events, and nothing else."""
    return staff_with("view_workflowevent")


def read(client, url, status=200):
    answer = client.get(url)
    assert answer.status_code == status, answer
    return answer.content.decode()


def text_of(html):
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())


# The page of flaky jobs.


def test_lists_flaky_jobs_with_the_most_commits_first(viewer):
    make_flake(1, job="once")
    for number in (2, 3):
        last = make_flake(5 - number, job="twice", failures=number)
    make_flake(4, job="", workflow="release")
    page = read(viewer, FLAKY)
    rows = [text_of(row).split(" 2026")[0] for row in re.findall(r"<tr.*?</tr>", page, re.DOTALL)]
    assert [row for row in rows if "Last seen" not in row] == [
        "twice deploy press Commits 2 Failed runs 5",
        "once deploy press Commits 1 Failed runs 1",
        "release press Commits 1 Failed runs 1",
    ]
    for pk in (last.failed_id, last.succeeded_id):
        assert reverse("admin:logs_workflowevent_change", args=[pk]) in page
    assert PAGE in page


@pytest.mark.parametrize(
    ("project", "expected"),
    [
        (SLUG, ["test"]),
        ("gh/orchard/press", ["test"]),
        ("https://app.circleci.com/pipelines/github/orchard/press", ["test"]),
        ("press", ["test"]),
        ("other", ["lint"]),
        ("", ["lint", "test"]),
        ("pre", []),
        ("\x00", ["lint", "test"]),
        (HOSTILE, []),
        ("x" * 1_000, []),
    ],
)
def test_filters_flaky_jobs_by_project(viewer, project, expected):
    make_flake(1)
    make_flake(2, project="other", project_slug="github/orchard/other", job="lint")
    page = viewer.get(FLAKY, {"project": project}).content.decode()
    assert sorted(set(re.findall(r"<strong>(test|lint)</strong>", page))) == expected
    assert "<script>alert" not in page


def test_a_run_that_retention_deleted_has_no_link(viewer):
    flake = make_flake()
    WorkflowEvent.objects.filter(pk=flake.failed_id).delete()
    page = read(viewer, FLAKY)
    assert "failed: removed by retention" in text_of(page)
    assert reverse("admin:logs_workflowevent_change", args=[flake.failed_id]) not in page


def test_old_flakes_do_not_count(viewer):
    make_flake(seen_at=NOW - 14 * DAY - HOUR)
    assert "No flaky job was found." in text_of(read(viewer, FLAKY))


def test_says_so_if_the_watch_has_not_looked_yet(viewer):
    assert "has not read" not in text_of(read(viewer, FLAKY))
    WatchTask.objects.filter(name="flaky").update(last_finished_at=None)
    assert "The watch has not read the last two weeks yet." in text_of(read(viewer, FLAKY))


def test_unsigned_flakes_are_marked(viewer):
    make_flake(is_proven=False)
    for url in (FLAKY, PAGE):
        assert "not signed" in text_of(read(viewer, url))


def test_shows_a_bounded_number_of_flaky_jobs_and_says_so(viewer, monkeypatch):
    monkeypatch.setattr(insights_flaky, "MOST_READ", 2)
    for number in range(1, 4):
        make_flake(number, job=f"job-{number}")
        page = text_of(read(viewer, FLAKY))
        assert ("not shown" in page) is (number == 3)
    assert "job-3" not in page


@pytest.mark.parametrize("url", [FLAKY, PAGE])
def test_users_without_permission_are_refused(staff_with, url):
    client = staff_with("view_delivery")
    assert client.get(url).status_code == 403
    assert client.post(url).status_code == 405


# The page of a project.


def test_shows_the_state_of_default_branches_first(viewer, settings):
    for number, (branch, is_bad) in enumerate([("topic", False), ("main", False), ("broken", True), ("master", True)]):
        run = make_event(branch=branch)
        make_standing(run, run if is_bad else None, branch=branch, last_run_at=NOW - number * HOUR)
    text, links = section(read(viewer, PAGE), "standings")
    places = [text.index(branch) for branch in ("master", "main", "broken", "topic")]
    assert places == sorted(places)
    assert text.count("default") == 2
    assert query_of(links[0]) == {
        "project": SLUG,
        "workflow": "deploy",
        "branch": "master",
        "event_type": "workflow-completed",
    }


def test_shows_some_branches_then_all_then_leads_to_the_api(viewer, monkeypatch):
    monkeypatch.setattr(admin_projects, "SHOWN_STANDINGS", 2)
    monkeypatch.setattr(project_figures, "MOST_STANDINGS", 3)
    run = make_event()
    for number in range(4):
        make_standing(run, None, branch=f"branch-{number}", last_run_at=NOW - number * HOUR)
    text, links = section(read(viewer, PAGE), "standings")
    assert ("branch-1" in text, "branch-2" in text, links[-1]) == (True, False, "?branches=all")
    text, links = section(read(viewer, f"{PAGE}?branches=all"), "standings")
    assert ("branch-2" in text, "branch-3" in text) == (True, False)
    assert links[-1] == f"{reverse('logs:standings')}?project=github%2Forchard%2Fpress"


def test_a_run_of_a_branch_that_retention_deleted_has_no_link(viewer):
    run = make_event()
    make_standing(run, None)
    make_event()
    WorkflowEvent.objects.filter(pk=run.pk).delete()
    assert str(run.pk) not in "".join(section(read(viewer, PAGE), "standings")[1])


def test_links_the_run_that_decides_a_state_with_its_own_time(viewer):
    decides = make_event()
    newer = make_event(status="canceled", received_at=NOW)
    stopped = {"last_run_at": newer.received_at, "stopped_at": NOW - 4 * HOUR}
    make_standing(decides, decides, branch="main", **stopped)
    make_standing(decides, decides, branch="topic", **stopped | {"stopped_at": None})
    page = read(viewer, PAGE)
    link = reverse("admin:logs_workflowevent_change", args=[decides.pk])
    found = re.findall(rf'<a href="{link}"><time datetime="([^"]+)"', page.partition("runs-title")[0])
    assert found == [(NOW - hours * HOUR).isoformat() for hours in (4, 3)]


def rates(client):
    """Return the runs, failures and rates of the project's workflow."""
    return section(read(client, PAGE), "workflows")[0].split("Runs over time ")[1]


FLAKES_OF_A_WORKFLOW = [
    pytest.param([], "80 %", id="no flakes"),
    pytest.param([{"failures": 1}], "88.8 %", id="one run"),
    pytest.param([{"failures": 1}, {"failures": 1}], "100 %", id="two commits"),
    pytest.param([{"failures": 2, "job": "test"}], "80 %", id="a job, not the workflow"),
    pytest.param([{"failures": 1, "workflow": "nightly"}], "80 %", id="another workflow"),
    pytest.param([{"failures": 1, "project_slug": "github/orchard/other"}], "80 %", id="another project"),
    pytest.param([{"failures": 3}], "–", id="more than are counted"),
    pytest.param([{"failures": 1, "first_failed_at": NOW - 15 * DAY}], "–", id="failed before"),
    pytest.param([{"failures": 1, "first_failed_at": NOW - 15 * DAY}, {"failures": 1}], "–", id="some failed before"),
]


@pytest.mark.parametrize(("flakes", "without"), FLAKES_OF_A_WORKFLOW)
def test_shows_the_success_rate_with_and_without_flakes(viewer, flakes, without):
    make_event()
    for count, status, hours_ago in ((8, "success", 0), (2, "failed", 20), (5, "canceled", 0), (9, "failed", 15 * 24)):
        make_runs(count, status, hours_ago=hours_ago)
    make_runs(9, "failed", project_slug="github/orchard/other")
    for number, flake in enumerate(flakes):
        make_flake(number, **{"job": ""} | flake)
    assert rates(viewer).startswith(f"deploy 15 2 failed runs of deploy 80 % {without} failures in 1 of 28")


@pytest.mark.parametrize(
    "forget",
    [
        pytest.param(lambda: WatchTask.objects.filter(name="flaky").update(last_finished_at=None), id="not read yet"),
        pytest.param(lambda: WatchTask.objects.filter(name="flaky").update(last_error="ValueError"), id="fails"),
        pytest.param(lambda: WatchTask.objects.update(claimed_until=NOW - HOUR), id="the watch is not running"),
    ],
)
def test_a_rate_without_flakes_that_are_unknown_is_a_dash(viewer, forget):
    make_event()
    make_runs(8)
    make_runs(2, "failed")
    forget()
    assert " 80 % – " in rates(viewer)


def test_a_rate_without_flakes_of_which_some_were_not_read_is_a_dash(viewer, monkeypatch):
    monkeypatch.setattr(insights_flaky, "MOST_READ", 1)
    make_runs(8)
    make_runs(2, "failed")
    for number, rate in ((1, "88.8 %"), (2, "–")):
        make_flake(number, job="")
        assert f" 80 % {rate} " in rates(viewer)


@pytest.mark.parametrize("state", [{"counted_from": NOW - DAY}, {"complete_until": NOW - HOUR}])
def test_rates_of_runs_that_are_not_all_counted_are_dashes(viewer, state):
    make_event(received_at=NOW - 3 * DAY)
    make_runs(8)
    make_runs(2, "failed")
    RollupState.objects.update(**state)
    assert " – – " in rates(viewer)


def test_shows_the_slowest_jobs_and_on_how_many_runs_they_are_based(viewer):
    for job, seconds, runs in (("quick", 10, 3), ("slow", 300, 4), ("rare", 900, 2), ("canceled", 900, 3)):
        for number in range(runs):
            make_event(
                event_type="job-completed",
                job=job,
                status="canceled" if job == "canceled" else "success",
                duration_seconds=seconds + number,
            )
    make_event(event_type="job-completed", job="old", duration_seconds=1, received_at=NOW - 15 * DAY)
    text, links = section(read(viewer, PAGE), "slowest")
    assert "slow deploy 5 min 2 s mean of 4 runs quick deploy 11 s mean of 3 runs" in text
    assert "From the newest 9 finished runs" in text
    assert query_of(links[0]).items() >= {"project": SLUG, "job": "slow", "ordering": "-duration"}.items()


def test_shows_the_last_runs(viewer):
    for number in range(12):
        make_event(workflow=f"flow-{number:02}", received_at=NOW - number * HOUR)
        make_event(workflow="of a job", event_type="job-completed", job="test")
        make_event(workflow="elsewhere", project_slug="github/orchard/other")
    text, _ = section(read(viewer, PAGE), "runs")
    assert re.findall(r"flow-\d\d|of a job|elsewhere", text) == [f"flow-{number:02}" for number in range(10)]


def test_shows_its_sources_to_those_who_may_see_them(watched, staff_with, settings):
    settings.CIRCLECI_WEBHOOK_SECRETS = {"Orchard": "secret"}
    make_event()
    viewer = staff_with("view_workflowevent", "view_source")
    assert "No configured webhook reports this project" in text_of(read(viewer, PAGE))
    for webhook, slug in (("Orchard", SLUG), ("Orchard", "github/orchard/other"), ("Removed", SLUG)):
        Source.objects.create(
            webhook=webhook, project_slug=slug, state="silent", last_delivery_at=NOW, muted_until=NOW + HOUR
        )
    text, (link,) = section(read(viewer, PAGE), "sources")
    assert "silent since" in text
    assert "Orchard muted" in text
    Source.objects.update(state="up")
    assert "■ not judged no signed event yet Last delivery" in section(read(viewer, PAGE), "sources")[0]
    assert link == f"{reverse('admin:logs_source_changelist')}?project=github%2Forchard%2Fpress"
    assert "sources-title" not in read(staff_with("view_workflowevent", username="other"), PAGE)


def test_lists_flaky_jobs_of_the_project_only(viewer):
    make_flake(1)
    make_flake(2, project_slug="github/orchard/other", job="other")
    text, links = section(read(viewer, PAGE), "flaky")
    assert ("test" in text, "other" in text) == (True, False)
    assert links[-1] == f"{FLAKY}?project=github%2Forchard%2Fpress"


@pytest.mark.parametrize(
    "slug", ["github/orchard/unknown", "nothing", "x" * 400, HOSTILE, "a/../b", "github/orchard/press/"]
)
def test_says_that_there_is_no_such_project(viewer, slug):
    make_event()
    answer = viewer.get("/admin/projects/" + "".join(f"%{byte:02x}" for byte in slug.encode()) + "/")
    page = answer.content.decode()
    assert answer.status_code == 404
    assert "The log has no project with this slug." in page
    assert "<script>alert" not in page


def test_a_path_with_a_null_character_is_no_project(viewer):
    assert viewer.get("/admin/projects/a%00b/").status_code == 404


@pytest.mark.parametrize("slug", HOSTILE_SLUGS)
def test_every_slug_has_a_page(viewer, slug):
    last = make_event(project_slug=slug, project=HOSTILE, workflow=HOSTILE, branch=HOSTILE)
    make_standing(last, last, project_slug=slug, project=HOSTILE, workflow=HOSTILE, branch=HOSTILE)
    make_runs(3, project_slug=slug, project=HOSTILE, workflow=HOSTILE)
    make_flake(project_slug=slug, project=HOSTILE, workflow=HOSTILE, job=HOSTILE)
    page = read(viewer, reverse("admin:project", args=[slug]))
    assert "<script>alert" not in page
    assert "{{ 7*7 }}" in unescape(page)


@pytest.mark.parametrize("slug", ["..", "../../logout", "a/../b", "./a", "a/."])
def test_a_slug_that_would_lead_elsewhere_has_no_link(viewer, slug):
    with pytest.raises(NoReverseMatch):
        reverse("admin:project", args=[slug])
    run = make_event(project_slug=slug)
    make_standing(run, run, project_slug=slug)
    make_flake(project_slug=slug)
    for url in (FLAKY, reverse("admin:index"), reverse("admin:logs_workflowevent_change", args=[run.pk])):
        assert "/admin/projects/" not in read(viewer, url)


def test_a_project_whose_events_retention_deleted_has_a_page(viewer):
    make_runs(3)
    assert "<bdi>press</bdi>" in read(viewer, PAGE)
    HourlyWorkflow.objects.all().delete()
    Workflow.objects.all().delete()
    make_standing(make_event(), None)
    WorkflowEvent.objects.all().delete()
    assert "<bdi>press</bdi>" in read(viewer, PAGE)


def test_other_pages_lead_to_it(viewer):
    run = make_event()
    make_standing(run, run)
    make_runs(3)
    index = reverse("admin:index")
    for url in (index, f"{index}?project=press", reverse("admin:logs_workflowevent_change", args=[run.pk])):
        assert f'href="{PAGE}"' in read(viewer, url)
    assert f'href="{FLAKY}"' in read(viewer, index)
    assert f'href="{FLAKY}?project=github%2Forchard%2Fpress"' in read(viewer, f"{index}?project=press")


# The badge.


@pytest.mark.parametrize(
    ("event", "is_flaky"),
    [
        ({}, True),
        ({"status": "success"}, False),
        ({"job": "lint"}, False),
        ({"workflow": "nightly"}, False),
        ({"revision": "f" * 40}, False),
        ({"revision": ""}, False),
        ({"project_slug": "github/orchard/other"}, False),
        ({"job": "", "event_type": "workflow-completed"}, False),
    ],
)
def test_a_failed_job_that_also_succeeded_on_the_commit_has_a_badge(viewer, event, is_flaky):
    flake = make_flake()
    values = {"job": "test", "event_type": "job-completed", "revision": flake.revision, "pipeline_id": "p"} | event
    shown = make_event(**values)
    other = make_event(workflow="another", pipeline_id="p", revision=shown.revision, project_slug=shown.project_slug)
    for row in (shown, other):
        page = read(viewer, reverse("admin:logs_workflowevent_change", args=[row.pk]))
        assert ("flaky" in section(page, "run")[0]) is is_flaky
        assert ("It also succeeded on this commit" in page) is (is_flaky and row is shown)


def test_a_failure_on_another_commit_of_the_pipeline_has_no_badge(viewer):
    flake = make_flake()
    common = {"job": "test", "event_type": "job-completed", "revision": flake.revision, "pipeline_id": "p"}
    shown = make_event(**common)
    make_event(**common | {"revision": "f" * 40})
    page = read(viewer, reverse("admin:logs_workflowevent_change", args=[shown.pk]))
    assert section(page, "run")[0].count("flaky") == 1


# The costs.


def fill(rows):
    for number in range(rows):
        links = {"url": "https://app.circleci.com/pipelines/1", "pipeline_id": "1"}
        run = make_event(branch=f"branch-{number}", workflow=f"flow-{number}", **links)
        make_standing(run, run, branch=run.branch, workflow=run.workflow)
        make_runs(3, workflow=run.workflow)
        make_flake(number, workflow=run.workflow, job="" if number % 2 else "test")
        Source.objects.create(webhook="Orchard", project_slug=f"{SLUG}{number or ''}", state="up")


@pytest.mark.parametrize("url", [FLAKY, PAGE])
def test_a_page_costs_the_same_number_of_queries_however_much_there_is(watched, staff_with, settings, url):
    settings.CIRCLECI_WEBHOOK_SECRETS = {"Orchard": "secret"}
    client = staff_with("view_workflowevent", "view_source")
    counts = []
    for rows in (2, 20):
        fill(rows)
        with CaptureQueriesContext(connection) as captured:
            read(client, url)
        counts.append(len(captured))
        for model in (Source, Flake, Standing):
            model.objects.all().delete()
    # Session, user, two for permissions; the flakes, the runs they refer to and the watch; the rest of a project.
    assert counts == [7 if url == FLAKY else 20] * 2
