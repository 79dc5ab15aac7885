"""The dashboard of a project reads the project's own sums; a project is found and changes are read from indexes."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from logs.insights.broken import MAX_CHANGES_READ, read_last_fixed_at
from logs.insights.dashboard import read_figures
from logs.insights.periods import period_of
from logs.insights.projects import MAX_WORKFLOWS_READ, Project, find_projects, read_projects
from logs.models import HourlyWorkflow, StateChange, Workflow, WorkflowEvent
from tests.plans import assert_reads_little, vacuum

pytestmark = pytest.mark.django_db

PROJECTS, WORKFLOWS, HOURS = 100, 5, 40
EVENTS = CHANGES = 5_000
NOW = datetime(2026, 5, 4, 10, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
PROJECT = Project(slug="github/orchard/7", name="7", label="7")


@pytest.fixture(scope="module")
def django_db_setup(django_db_setup, django_db_blocker):
    """Fill the log once for all tests of this module, and let the database count what it holds."""
    with django_db_blocker.unblock():
        workflows = Workflow.objects.bulk_create(_workflows())
        HourlyWorkflow.objects.bulk_create(_sums(workflows), batch_size=2_000)
        WorkflowEvent.objects.bulk_create(_events(), batch_size=2_000)
        StateChange.objects.bulk_create(_changes(), batch_size=2_000)
        vacuum()
        yield
        for model in (StateChange, WorkflowEvent, HourlyWorkflow, Workflow):
            model.objects.all().delete()


def _workflows():
    for number in range(PROJECTS * WORKFLOWS):
        project = number // WORKFLOWS
        yield Workflow(project_slug=f"github/orchard/{project}", project=str(project), name=f"w{number}")


def _sums(workflows):
    for hours_ago in range(HOURS):
        hour = NOW.replace(minute=0) - hours_ago * HOUR
        for workflow in workflows:
            yield HourlyWorkflow(hour=hour, workflow=workflow, status="success", duration_bucket=9, seconds=9, count=1)


def _events():
    for number in range(EVENTS):
        project = number % PROJECTS
        yield WorkflowEvent(
            event_id=f"event-{number}",
            event_type="workflow-completed",
            project=str(project),
            project_slug=f"github/orchard/{project}",
            project_id=f"00000000-0000-0000-0000-{project:012}",
            received_at=NOW - number * HOUR,
            verified=True,
        )


def _changes():
    for number in range(CHANGES):
        moment = NOW - number * HOUR
        yield StateChange(kind="broke", branch="main", event_id=number, happened_at=moment, noted_at=moment, failures=1)


def statements_of(call):
    with time_machine.travel(NOW, tick=False), CaptureQueriesContext(connection) as captured:
        call()
    return [query["sql"] for query in captured if query["sql"].strip().startswith("SELECT")]


@pytest.mark.parametrize("name", ["24h", "7d"])
def test_the_figures_of_a_project_are_read_from_its_own_sums(name):
    statements = statements_of(lambda: read_figures(period_of(name, NOW), PROJECT))
    sums = [sql for sql in statements if "hourlyworkflow" in sql]
    assert len(sums) == 6
    for sql in sums:
        indexes = r"(hourly_workflow_workflow|sqlite_autoindex_logs_workflow_1)"
        assert_reads_little(sql, indexes, is_range=True, most=2 * WORKFLOWS * HOURS)


def test_the_projects_are_read_in_the_order_of_an_index():
    (sql,) = statements_of(read_projects)
    assert sql.endswith(f"LIMIT {MAX_WORKFLOWS_READ}")
    assert_reads_little(sql, "sqlite_autoindex_logs_workflow_1")


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("7", "event_project_newest"),
        ("nothing", "event_project_newest"),
        ("gh/orchard/7", "event_project_slug_newest"),
        ("00000000-0000-0000-0000-000000000007", "event_project_id_newest"),
    ],
)
def test_a_project_without_counted_runs_is_found_by_its_newest_event(text, index):
    (sql,) = statements_of(lambda: find_projects(text, []))
    assert_reads_little(sql, index, is_range=True, most=2)


def test_the_last_fix_is_searched_in_the_newest_changes(settings):
    settings.DEFAULT_BRANCHES = ["main"]
    (sql,) = statements_of(read_last_fixed_at)
    assert sql.endswith(f"LIMIT {MAX_CHANGES_READ}")
    assert_reads_little(sql, "change_newest", most=MAX_CHANGES_READ)
