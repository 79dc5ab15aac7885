"""What REST clients get from the insights, by hand and against the exact figures of a random log."""

import os
import random
import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from django.core.cache import cache

from logs.insights import jobs, recoveries, workflow_figures
from logs.models import Flake, HourlyWorkflow, WorkflowEvent
from tests.integration.rollup_history import count_all

pytestmark = pytest.mark.django_db

ROOT = "/api/insights"
DOCS = Path(__file__).parents[2] / "docs" / "metrics.md"
IS_THOROUGH = os.environ.get("PYTEST_HYPOTHESIS_PROFILE") == "thorough"
RANDOM_RUNS = 100_000 if IS_THOROUGH else 2_000
NOW = datetime(2026, 5, 4, 10, 30, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
SLUG, NAME = "github/acme/orchard", "orchard"
JOB, WORKFLOW = "job-completed", "workflow-completed"
ONE = {"project": SLUG, "workflow": "build"}


@pytest.fixture(autouse=True)
def at_noon(clock, settings):
    """The log's time; the cache of projects is that of another test."""
    settings.DEFAULT_BRANCHES = ["main"]
    cache.clear()


def run(status, ago=HOUR, **columns):
    """Return a run that ended and arrived some time ago."""
    at = NOW - ago
    values = {
        "event_type": WORKFLOW,
        "event_id": f"event-{random.getrandbits(64):x}",
        "project": NAME,
        "project_slug": SLUG,
        "workflow": "build",
        "workflow_id": f"id-{random.getrandbits(64):x}",
        "branch": "main",
        "status": status,
        "duration_seconds": 100.0,
        "stopped_at": at,
        "received_at": at,
        "changed_at": at,
        "verified": True,
    }
    return WorkflowEvent(**values | columns)


def log(*runs):
    WorkflowEvent.objects.bulk_create(runs, batch_size=2_000)
    count_all()


def get(reader, path, **query):
    answer = reader.get(f"{ROOT}/{path}", query)
    assert answer.status_code == 200, answer.content
    return answer.json()


def error(reader, path, **query):
    answer = reader.get(f"{ROOT}/{path}", query)
    assert answer.status_code == 400, answer.content
    return answer.json()["detail"]


def workflow(reader, **query):
    (found,) = get(reader, "workflows", **query)["workflows"]
    return found


# Workflows.


def test_a_workflow_has_the_figures_of_its_runs(reader):
    log(
        *(run("success", (hours + 1) * HOUR, duration_seconds=600) for hours in range(6)),
        run("failed", 2 * DAY),
        run("error", 2 * DAY + HOUR),
        run("canceled", 3 * DAY),
        run("success", 40 * DAY),
    )
    found = workflow(reader)
    assert found["workflow"] == "build"
    assert found["project_slug"] == SLUG
    assert found["total_runs"] == 9
    assert found["statuses"] == {"success": 6, "failed": 1, "error": 1, "canceled": 1}
    assert found["success_rate"] == 6 / 8
    assert found["success_rate_of_all"] == 6 / 9
    assert found["throughput"] == 9 / 4
    assert 582 <= found["median_seconds"] <= 618
    assert found["recoveries"] == 1


@pytest.mark.parametrize(("window", "count"), [("24h", 1), ("7d", 2), ("30d", 3), ("60d", 4), ("90d", 5)])
def test_a_window_has_the_runs_that_arrived_in_it(reader, window, count):
    log(*(run("success", days * DAY) for days in (0.5, 6.5, 29, 59, 89, 120)))
    assert workflow(reader, window=window)["total_runs"] == count


def test_times_select_whole_hours(reader):
    log(*(run("success", hours * HOUR) for hours in range(6)))
    query = {"received_after": "2026-05-04T06:59Z", "received_before": "2026-05-04T08:01Z"}
    answer = get(reader, "workflows", **query)
    assert answer["received_after"] == "2026-05-04T06:00:00Z"
    assert answer["received_before"] == "2026-05-04T09:00:00Z"
    assert answer["workflows"][0]["total_runs"] == 3


@pytest.mark.parametrize(
    "query",
    [
        {"received_after": "1d", "received_before": "2d"},
        {"received_after": "2026-05-04T09:40Z", "received_before": "2026-05-04T09:20Z"},
        {"received_before": "0001-01-02"},
        {"received_after": "9999-12-31T23:30Z", "received_before": "9999-12-31T23:59Z"},
        {"received_after": "2027-01-01"},
    ],
)
def test_a_period_without_events_is_empty(reader, query):
    log(run("success", 70 * MINUTE))
    assert get(reader, "workflows", **query)["workflows"] == []
    assert get(reader, "recoveries", **query)["breakages"] == []
    assert get(reader, "jobs", **ONE, **query)["jobs"] == []
    assert not any(point["total_runs"] for point in get(reader, "timeseries", **ONE, **query)["points"])


def test_all_time_can_be_selected(reader):
    log(run("success", 500 * DAY))
    query = {"received_after": "0001-01-01", "received_before": "9998-12-31T23:59Z"}
    assert workflow(reader, **query)["total_runs"] == 1


def test_default_branches_are_counted_apart(reader):
    log(run("success"), run("failed", branch="feature/pears"), run("failed", branch=""))
    assert workflow(reader)["total_runs"] == 3
    assert workflow(reader, default_branch="true")["success_rate"] == 1


def test_a_branch_has_exact_figures(reader):
    log(run("success", duration_seconds=61.9), run("failed", branch="pears", duration_seconds=7.2))
    answer = get(reader, "workflows", **ONE, branch="main")
    assert answer["exact"] is True
    assert answer["workflows"][0]["total_runs"] == 1
    assert answer["workflows"][0]["max_seconds"] == 61
    assert get(reader, "workflows", **ONE, branch="plums")["workflows"] == []


def test_a_branch_of_all_projects_has_exact_figures(reader):
    log(
        run("success"),
        run("failed", 2 * HOUR),
        run("failed", workflow="deploy", project_slug="github/acme/shop", project="shop"),
        run("success", branch="pears"),
    )
    answer = get(reader, "workflows", branch="main", ordering="-failed_runs")
    found = [
        (each["project"], each["workflow"], each["failed_runs"], each["total_runs"]) for each in answer["workflows"]
    ]
    assert found == [(NAME, "build", 1, 2), ("shop", "deploy", 1, 1)]
    assert answer["workflows"][0]["recoveries"] == 1


def test_a_branch_is_read_up_to_its_newest_runs(reader, monkeypatch):
    monkeypatch.setattr(workflow_figures, "MOST_RUNS", 2)
    log(*(run("success", hours * HOUR) for hours in range(1, 6)))
    answer = get(reader, "workflows", **ONE, branch="main")
    assert answer["workflows"][0]["total_runs"] == 2
    assert answer["has_more"] is True


def test_workflows_are_sorted_and_limited(reader):
    log(
        *(run("success", workflow="deploy") for _ in range(3)),
        run("failed"),
        run("success"),
        run("canceled", workflow="lint", duration_seconds=None),
    )
    names = [each["workflow"] for each in get(reader, "workflows")["workflows"]]
    assert names == ["deploy", "build", "lint"]
    by_rate = get(reader, "workflows", ordering="success_rate", limit=2)
    assert [each["workflow"] for each in by_rate["workflows"]] == ["build", "deploy"]
    assert by_rate["has_more"] is True
    slowest = get(reader, "workflows", ordering="-p95_seconds")["workflows"]
    assert slowest[-1]["workflow"] == "lint"
    assert slowest[-1]["p95_seconds"] is None


def test_a_project_is_found_by_name_and_slug_in_any_case(reader):
    log(run("success"), run("failed", project_slug="github/acme/shop", project="shop"))
    for project in ("SHOP", "github/acme/shop", "gh/acme/shop"):
        assert workflow(reader, project=project)["failed_runs"] == 1
    assert get(reader, "workflows", project="garden")["workflows"] == []


def test_an_empty_log_has_no_workflows(reader):
    assert get(reader, "workflows")["workflows"] == []


def test_each_figure_has_a_definition(reader):
    log(run("success"))
    answer = get(reader, "workflows")
    names = {"project_slug", "project", "workflow"}
    assert answer["workflows"][0].keys() - names == answer["definitions"].keys() - {"exact"}


# Errors.


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ({"window": "1y"}, "window: 1y is not a window; use 24h, 7d, 30d, 60d, 90d."),
        ({"window": "7d", "received_after": "7d"}, "window: leave it out"),
        ({"ordering": "colour"}, "ordering must be one of: total_runs, -total_runs"),
        ({"limit": "0"}, "limit must be a whole number from 1 to 5000."),
        ({"step": "hour"}, "Unknown parameter 'step'"),
        (ONE | {"branch": "main", "default_branch": "true"}, "default_branch: leave it out, or leave out branch."),
        (ONE | {"branch": "main", "ordering": "colour"}, "ordering must be one of"),
        (ONE | {"branch": "main", "limit": "0"}, "limit must be a whole number"),
    ],
)
def test_a_wrong_parameter_is_an_error(reader, query, detail):
    log(run("success"))
    assert detail in error(reader, "workflows", **query)


@pytest.mark.parametrize("path", ["jobs", "timeseries"])
def test_a_workflow_must_be_given_and_known(reader, path):
    log(run("success"))
    assert error(reader, path) == "project and workflow are required."
    answer = reader.get(f"{ROOT}/{path}", ONE | {"workflow": "unknown"})
    assert answer.status_code == 404


def test_projects_with_the_same_name_need_a_slug(reader):
    log(run("success"), run("success", project_slug="github/other/orchard"))
    detail = error(reader, "jobs", project=NAME, workflow="build")
    assert detail.endswith("use a slug: github/acme/orchard, github/other/orchard.")


def test_a_series_has_at_most_the_newest_800_steps(reader):
    log(run("success"), run("success", 59 * DAY))
    answer = get(reader, "timeseries", **ONE, window="60d", step="hour")
    assert (answer["has_more"], len(answer["points"])) == (True, 800)
    assert sum(point["total_runs"] for point in answer["points"]) == 1
    assert answer["points"][-1]["since"] == "2026-05-04T10:00:00Z"
    assert get(reader, "timeseries", **ONE, window="60d")["has_more"] is False


@pytest.mark.parametrize(
    "path", ["workflows", "jobs", "timeseries", "recoveries", "flaky-jobs", "pipelines/none", "workflows/"]
)
def test_insights_need_the_permission_to_view_events(client, client_of, user_with, path):
    assert client.get(f"{ROOT}/{path}").status_code == 401
    assert client_of(user_with("view_delivery")).get(f"{ROOT}/{path}").status_code == 403


# Recoveries, by hand: `g` succeeded, `b` failed, `c` was canceled, one each hour.


@pytest.mark.parametrize(
    ("story", "recoveries", "mttr_hours", "per_failure_hours"),
    [
        ("gg", 0, None, None),
        ("gb", 0, None, None),
        ("gbg", 1, 1, 1),
        ("gbbg", 1, 2, 1),
        ("bbbg", 1, 3, 1),
        ("gbgbbg", 2, 1.5, 1),
        ("gbcg", 1, 2, 2),
        ("gcg", 0, None, None),
        ("bcbg", 1, 3, 1.5),
        ("gbgb", 1, 1, 1),
    ],
)
def test_mean_time_to_recovery(reader, story, recoveries, mttr_hours, per_failure_hours):
    statuses = {"g": "success", "b": "failed", "c": "canceled"}
    log(*(run(statuses[letter], (len(story) - at) * HOUR) for at, letter in enumerate(story)))
    answer = get(reader, "recoveries")
    hours = [each and each / 3_600 for each in (answer["mttr"], answer["mttr_per_failure"])]
    assert [answer["recoveries"], *hours] == [recoveries, mttr_hours, per_failure_hours]
    assert workflow(reader)["mttr"] == answer["mttr"]


def test_branches_and_workflows_recover_on_their_own(reader):
    log(
        run("failed", 5 * HOUR),
        run("success", 4 * HOUR, branch="pears"),
        run("success", 3 * HOUR, workflow="deploy"),
        run("success", 2 * HOUR, project_slug="github/acme/shop"),
        run("success", HOUR),
    )
    (breakage,) = get(reader, "recoveries")["breakages"]
    assert breakage["seconds"] == 4 * 3_600


def test_a_failure_that_arrives_after_its_recovery_counts_by_when_it_ended(reader):
    late = run("failed", 3 * HOUR, received_at=NOW - 2 * HOUR + 5 * MINUTE)
    log(run("success", 2 * HOUR), late)
    (breakage,) = get(reader, "recoveries")["breakages"]
    assert breakage["seconds"] == 3_600
    assert breakage["failed"] == late.event_id


def test_a_breakage_that_has_not_recovered_is_listed_without_an_end(reader):
    log(run("failed", 2 * HOUR), run("failed", HOUR))
    (breakage,) = get(reader, "recoveries", **ONE, branch="main")["breakages"]
    assert (breakage["failures"], breakage["recovered_at"], breakage["seconds"]) == (2, None, None)


def test_recoveries_on_default_branches(reader):
    log(run("failed", 2 * HOUR), run("failed", 2 * HOUR, branch="pears"), run("success", HOUR, branch="pears"))
    answer = get(reader, "recoveries", default_branch="true")
    assert [each["branch"] for each in answer["breakages"]] == ["main"]
    assert answer["mttr"] is None


def test_a_recovery_after_the_window_does_not_count(reader):
    log(run("failed", 5 * HOUR), run("failed", 3 * HOUR), run("success", HOUR))
    answer = get(reader, "recoveries", received_after="2026-05-04T00:00Z", received_before="2026-05-04T09:00Z")
    assert [(each["failures"], each["recovered"]) for each in answer["breakages"]] == [(2, None)]


def test_runs_of_tags_do_not_recover_each_other(reader):
    log(run("failed", 2 * HOUR, branch="", tag="v1"), run("success", HOUR, branch="", tag="v2"))
    assert get(reader, "recoveries")["breakages"] == []


def test_an_end_in_the_future_is_ignored(reader):
    log(run("failed", 2 * HOUR), run("success", HOUR, stopped_at=NOW + 3_650 * DAY))
    assert get(reader, "recoveries")["mttr"] is None


def test_a_branch_that_fails_all_the_time_is_read_once(reader, monkeypatch):
    monkeypatch.setattr(recoveries, "MOST_FAILURES", 150)
    log(*(run("failed", number * MINUTE) for number in range(200)))
    answer = get(reader, "recoveries")
    assert [(each["failures"], each["recovered"]) for each in answer["breakages"]] == [(150, None)]
    assert answer["has_more"] is True


def test_many_failures_before_a_recovery_are_one_breakage(reader):
    log(*(run("failed", (number + 1) * MINUTE) for number in range(100)), run("success", MINUTE / 2))
    (breakage,) = get(reader, "recoveries")["breakages"]
    assert (breakage["failures"], breakage["seconds"]) == (100, 99.5 * 60)


def test_a_stranger_cannot_take_a_projects_slug_as_its_name(reader):
    log(run("success"), run("failed", project=SLUG, project_slug="github/evil/x", verified=False))
    assert get(reader, "jobs", **ONE)["runs"] == 1
    assert workflow(reader, project=SLUG)["failed_runs"] == 0


def test_default_branches_are_known_from_the_hours_counted_since_the_upgrade(reader):
    log(run("success"), run("success", 50 * HOUR))
    HourlyWorkflow.objects.filter(hour__lt=NOW - DAY).update(on_default_branch=None)
    assert get(reader, "workflows", default_branch="true")["counted_from"] == "2026-05-02T09:00:00Z"
    assert get(reader, "workflows")["counted_from"] < "2026-05-02T09:00:00Z"


# Jobs.


def test_jobs_have_the_figures_of_the_newest_runs(reader, monkeypatch):
    monkeypatch.setattr(jobs, "MOST_RUNS", 2)
    ends = [run("success", (3 - number) * HOUR, workflow_id=f"run-{number}") for number in range(3)]
    steps = [
        run(status, event_type=JOB, job=job, workflow_id=f"run-{number}", duration_seconds=seconds)
        for number in range(3)
        for job, status, seconds in (("lint", "success", 30 + number), ("test", "failed", 300))
    ]
    stranger = run("failed", event_type=JOB, job="lint", workflow_id="run-2", project_slug="github/stranger/x")
    log(*ends, *steps, stranger)
    answer = get(reader, "jobs", **ONE)
    assert (answer["runs"], answer["has_more"], answer["since"]) == (2, True, "2026-05-04T08:30:00Z")
    lint, test = answer["jobs"]
    assert (lint["job"], lint["total_runs"], lint["success_rate"], lint["max_seconds"]) == ("lint", 2, 1, 32)
    assert (test["job"], test["failed_runs"], test["success_rate"]) == ("test", 2, 0)


def test_jobs_beyond_the_limit_are_reported(reader, monkeypatch):
    monkeypatch.setattr(jobs, "MOST_EVENTS", 3)
    log(run("success", workflow_id="a"), *(run("success", event_type=JOB, job="x", workflow_id="a") for _ in range(4)))
    assert get(reader, "jobs", **ONE)["has_more"] is True


# Series.


def test_a_series_has_a_point_for_each_step(reader):
    log(run("success", 30 * MINUTE), run("failed", 30 * MINUTE), run("success", 25 * HOUR, duration_seconds=600))
    hours = get(reader, "timeseries", **ONE, window="24h", step="hour")["points"]
    assert len(hours) == 24
    assert [point["total_runs"] for point in hours if point["total_runs"]] == [2]
    days = get(reader, "timeseries", **ONE, window="7d")["points"]
    assert [point["total_runs"] for point in days] == [0, 0, 0, 0, 0, 1, 2]
    assert days[0]["median_seconds"] is None
    assert 582 <= days[-2]["p95_seconds"] <= 618
    for before, after in pairwise(days):
        assert datetime.fromisoformat(after["since"]) - datetime.fromisoformat(before["since"]) == DAY


# Flaky jobs and pipelines.


def test_flaky_jobs_are_listed(reader):
    log(run("success"))
    times = {"first_failed_at": NOW - HOUR, "seen_at": NOW, "noted_at": NOW}
    names = {"project_slug": SLUG, "project": NAME, "workflow": "build", "branch": "main"}
    for number in range(2):
        Flake.objects.create(job="test", revision=f"{number}" * 40, failures=2, is_proven=True, **names, **times)
    Flake.objects.create(job="", revision="c" * 40, failures=1, is_proven=True, **names, **times)
    found = get(reader, "flaky-jobs", project=NAME)["jobs"]
    assert [(each["job"], each["commits"], each["failures"]) for each in found] == [("test", 2, 4), (None, 1, 1)]
    assert get(reader, "flaky-jobs", project="shop")["jobs"] == []
    assert len(get(reader, "flaky-jobs", project="ORCHARD")["jobs"]) == 2
    assert "at most 500" in error(reader, "flaky-jobs", project="x" * 501)


def test_a_pipeline_is_judged_by_the_last_run_of_each_workflow(reader):
    shared = {"pipeline_id": "b6f1e5a2-0000-4000-8000-000000000001", "pipeline_number": 4711}
    log(
        run("failed", 3 * HOUR, workflow_id="first", **shared),
        run("failed", 3 * HOUR, workflow_id="first", event_type=JOB, job="test", **shared),
        run("success", 2 * HOUR, workflow_id="second", **shared),
    )
    answer = get(reader, f"pipelines/{shared['pipeline_id'].upper()}")
    assert (answer["state"], answer["reruns"], answer["pipeline_number"]) == ("succeeded", 1, 4711)
    assert [(each["workflow_id"], each["state"]) for each in answer["workflows"]] == [
        ("first", "failed"),
        ("second", "succeeded"),
    ]
    assert answer["workflows"][0]["failed_jobs"] == ["test"]


def test_a_pipeline_with_very_many_events_says_so(reader):
    log(*(run("success", pipeline_id="p") for _ in range(101)))
    answer = get(reader, "pipelines/p")
    assert (answer["has_more"], len(answer["workflows"])) == (True, 100)


def test_an_unknown_pipeline_is_not_found(reader):
    assert reader.get(f"{ROOT}/pipelines/unknown").status_code == 404


def test_a_stranger_does_not_change_the_verdict(reader):
    log(
        run("success", 2 * HOUR, pipeline_id="p"),
        run("failed", HOUR, pipeline_id="p", project_slug="github/stranger/x", verified=False),
    )
    assert get(reader, "pipelines/p")["state"] == "succeeded"


# For Grafana's Infinity data source.


def test_the_documented_urls_for_grafana_return_rows(reader):
    section = DOCS.read_text(encoding="utf-8").partition("\n## Grafana on the API\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| [^|]+ \| `(/api/[^`]+)` \| `(\w+)` \|$", section, re.MULTILINE)
    assert len(rows) == 5
    log(run("success", workflow="build-and-test"), run("failed", workflow="build-and-test", branch="pears"))
    times = {"${__from:date:iso}": "2026-05-01T00:00:00.000Z", "${__to:date:iso}": "2026-05-04T10:30:00.000Z"}
    for url, root in rows:
        for variable, time in times.items():
            url = url.replace(variable, time)  # noqa: PLW2901
        answer = reader.get(url)
        assert answer.status_code == 200, url
        assert isinstance(answer.json()[root], list)
    assert set(reader.get("/api/insights/timeseries", ONE | {"workflow": "build-and-test"}).json()["points"][0]) >= {
        "since"
    }


# Against exact figures.


def test_figures_from_sums_are_within_3_percent_of_the_exact_ones(reader):
    chance = random.Random(24)
    statuses = ["success"] * 8 + ["failed", "canceled"]
    runs = [
        run(
            chance.choice(statuses),
            chance.random() * 6 * DAY,
            workflow=f"workflow-{chance.randrange(5)}",
            duration_seconds=60 + chance.lognormvariate(5, 1),
        )
        for _ in range(RANDOM_RUNS)
    ]
    log(*runs)
    found = get(reader, "workflows", window="7d")["workflows"]
    assert sum(each["total_runs"] for each in found) == RANDOM_RUNS
    for each in found:
        of_workflow = [one for one in runs if one.workflow == each["workflow"] and one.status != "canceled"]
        known = sorted(one.duration_seconds for one in of_workflow)
        exact = {
            "min_seconds": known[0],
            "median_seconds": known[(len(known) - 1) // 2],
            "p95_seconds": known[-(-95 * len(known) // 100) - 1],
            "max_seconds": known[-1],
            "mean_seconds": sum(known) / len(known),
        }
        for name, seconds in exact.items():
            assert each[name] == pytest.approx(seconds, rel=0.03), name
