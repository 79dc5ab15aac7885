"""The pages of a project and of flaky jobs read indexes, and a bounded number of rows, whatever the log holds."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from logs.insights import flaky, project_figures
from logs.insights.flaky import read_flaky
from logs.insights.project_figures import find_project, read_project
from logs.models import Flake, HourlyWorkflow, RollupState, Standing, Workflow, WorkflowEvent
from tests.plans import assert_reads_little, vacuum

pytestmark = pytest.mark.django_db

ROWS = 4_000
READ = 50
NOW = datetime(2026, 5, 4, 10, 30, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
SLUG = "github/orchard/project-1"


@pytest.fixture(scope="module")
def django_db_setup(django_db_setup, django_db_blocker):
    """Fill the log once for all tests of this module, and let the database count what it holds."""
    with django_db_blocker.unblock():
        WorkflowEvent.objects.bulk_create((_event(number) for number in range(ROWS)), batch_size=2_000)
        Standing.objects.bulk_create((_standing(number) for number in range(ROWS)), batch_size=2_000)
        Flake.objects.bulk_create((_flake(number) for number in range(ROWS)), batch_size=2_000)
        workflows = Workflow.objects.bulk_create(
            Workflow(project_slug=f"github/orchard/project-{number}", name="build") for number in range(400)
        )
        HourlyWorkflow.objects.bulk_create(_hour(number, workflows) for number in range(ROWS))
        RollupState.objects.create(counted_from=NOW - 60 * DAY, counted_until=NOW, complete_until=NOW)
        vacuum()
        yield
        for model in (Flake, Standing, HourlyWorkflow, Workflow, RollupState, WorkflowEvent):
            model.objects.all().delete()


def _project(number):
    """Half of all rows belong to one project."""
    name = f"project-{1 if number % 2 else number % 400}"
    return {"project_slug": f"github/orchard/{name}", "project": name}


def _event(number):
    is_job = number % 10 < 8
    return WorkflowEvent(
        event_id=f"event-{number}",
        event_type="job-completed" if is_job else "workflow-completed",
        workflow="build",
        job=f"job-{number % 5}" if is_job else "",
        status="success",
        duration_seconds=number % 100,
        received_at=NOW - number * MINUTE,
        verified=True,
        **_project(number),
    )


def _standing(number):
    branch = {"branch": f"branch-{number}", "last_run_at": NOW - number * MINUTE}
    return Standing(workflow="build", tone="good", last_id=number, **branch, **_project(number))


def _flake(number):
    runs = {"failures": 1, "failed_id": number, "succeeded_id": number + 1, "is_proven": True}
    times = {"first_failed_at": NOW, "seen_at": NOW - number * MINUTE, "noted_at": NOW}
    return Flake(workflow="build", job="test", revision=f"{number:040x}", **runs, **times, **_project(number))


def _hour(number, workflows):
    values = {"hour": NOW - (number // 400) * HOUR, "status": "success", "count": 1, "seconds": 1}
    return HourlyWorkflow(workflow=workflows[number % 400], **values)


@pytest.fixture
def statements(monkeypatch, settings):
    """Return the statements of a call that read a table."""
    settings.DEFAULT_BRANCHES = ["main"]
    for module, name in (
        (project_figures, "MOST_EVENTS"),
        (project_figures, "MOST_EVENTS_FOR_RUNS"),
        (flaky, "MOST_READ"),
    ):
        monkeypatch.setattr(module, name, READ)
    monkeypatch.setattr(project_figures, "MOST_STANDINGS", READ)

    def run(call):
        with time_machine.travel(NOW, tick=False), CaptureQueriesContext(connection) as captured:
            call()
        return [query["sql"] for query in captured if query["sql"].strip().startswith("SELECT")]

    return run


def test_a_project_is_read_from_its_indexes(statements):
    read = statements(lambda: read_project(SLUG, "project-1", NOW))
    tables = ("flake", "standing", "hourlyworkflow", "workflow", "hourlyworkflow", *["workflowevent"] * 3)
    _, _, flakes, standings, busiest, _, bars, slowest, newest, runs = read
    assert [f'FROM "logs_{table}"' in sql for table, sql in zip(tables, read[2:], strict=True)] == [True] * 8
    assert_reads_little(flakes, "flake_project_slug", is_range=True, most=4 * READ)
    assert_reads_little(standings, "(standing_project|INTEGER PRIMARY KEY)", is_range=True, most=4 * READ)
    assert_reads_little(busiest, "hourly_workflow_workflow", is_range=True, most=4 * READ)
    assert_reads_little(bars, "hourly_workflow_workflow", is_range=True, most=4 * READ)
    assert_reads_little(runs, "INTEGER PRIMARY KEY", is_range=True, most=project_figures.SHOWN_RUNS)
    for sql in (slowest, newest):
        assert_reads_little(sql, "event_project_slug_newest", is_range=True, most=4 * READ)
        assert f"LIMIT {READ}" in sql


def test_a_project_is_found_in_its_indexes(statements):
    found = statements(lambda: find_project(SLUG))
    missing = statements(lambda: find_project("github/orchard/nothing"))
    assert (len(found), len(missing)) == (1, 3)
    indexes = ("event_project_slug_newest", "workflow_unique", "standing_(project|unique)")
    for sql, index in zip([*found, *missing], [indexes[0], *indexes], strict=True):
        assert_reads_little(sql, index.replace("workflow_unique", "sqlite_autoindex_logs_workflow_1"), most=10)


@pytest.mark.parametrize(
    ("project", "index"),
    [("", "flake_newest"), (SLUG, "flake_project_slug"), ("project-1", "flake_project"), ("nothing", "flake_project")],
)
def test_flaky_jobs_are_read_from_indexes(statements, project, index):
    (sql,) = statements(lambda: read_flaky(NOW, project))
    assert_reads_little(sql, index, is_range=True, most=4 * READ)
    assert f"LIMIT {READ + 1}" in sql
