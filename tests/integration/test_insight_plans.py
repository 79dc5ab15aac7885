"""The insights read indexes, and in a number of queries that does not depend on the log."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.db import connection
from django.http import QueryDict
from django.test.utils import CaptureQueriesContext

from logs.insights import jobs, recoveries
from logs.insights.jobs import read_jobs
from logs.insights.recoveries import read_breakages
from logs.insights.selecting import WorkflowFilterSet, read_selection
from logs.insights.series import read_series
from logs.insights.workflow_figures import read_branch_figures, read_workflow_figures
from logs.insights.workflow_page import read_workflow_page
from logs.insights.workflows import read_workflow_bars
from logs.models import HourlyWorkflow, RollupState, Workflow, WorkflowEvent
from tests.plans import assert_reads_little, vacuum

pytestmark = pytest.mark.django_db

ROWS = 6_000
NOW = datetime(2026, 5, 4, 10, 30, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
ONE = "project=github/acme/project-7&workflow=workflow-2"


@pytest.fixture(scope="module")
def django_db_setup(django_db_setup, django_db_blocker):
    """Fill the log once for all tests of this module: a pipeline of a workflow and four jobs each 25 minutes."""
    with django_db_blocker.unblock():
        WorkflowEvent.objects.bulk_create((_event(number) for number in range(ROWS)), batch_size=2_000)
        workflows = Workflow.objects.bulk_create(
            Workflow(**_project(number), name=f"workflow-{number % 5}") for number in range(40)
        )
        HourlyWorkflow.objects.bulk_create(_hour(number, workflows) for number in range(ROWS))
        RollupState.objects.create(counted_from=NOW - 90 * DAY, counted_until=NOW, complete_until=NOW)
        vacuum()
        yield
        for model in (HourlyWorkflow, Workflow, RollupState, WorkflowEvent):
            model.objects.all().delete()


def _project(number):
    return {"project_slug": f"github/acme/project-{number % 8}", "project": f"project-{number % 8}"}


def _event(number):
    pipeline, part = divmod(number, 5)
    at = NOW - pipeline * 25 * MINUTE
    return WorkflowEvent(
        event_id=f"event-{number}",
        event_type="job-completed" if part else "workflow-completed",
        **_project(pipeline),
        workflow=f"workflow-{pipeline % 5}",
        workflow_id=f"workflow-{pipeline}",
        job=f"job-{part}" if part else "",
        branch="main",
        status="failed" if pipeline % 60 == 7 else "success",
        duration_seconds=pipeline % 100,
        stopped_at=at,
        received_at=at,
        changed_at=at,
        verified=True,
    )


def _hour(number, workflows):
    values = {"hour": NOW - (number // 4) * HOUR, "status": "success", "count": 1, "seconds": 60, "duration_bucket": 80}
    return HourlyWorkflow(workflow=workflows[number % 40], on_default_branch=number % 2 == 0, **values)


def select(query):
    return read_selection(WorkflowFilterSet, QueryDict(query), NOW)


def statements_of(function, *arguments):
    with time_machine.travel(NOW, tick=False), CaptureQueriesContext(connection) as captured:
        function(*arguments)
    return [query["sql"] for query in captured.captured_queries]


@pytest.mark.parametrize("query", ["window=7d", f"window=7d&{ONE}", "window=7d&default_branch=true"])
def test_figures_of_workflows_take_five_queries(query):
    counts, quantiles, failures, *ends, workflows = statements_of(read_workflow_figures, select(query))
    assert len(ends) == 1
    index = "hourly_workflow_(hour|workflow)|logs_workflow\\w*|workflow_unique|\\w*pk\\w*"
    for statement in (counts, quantiles):
        assert_reads_little(statement, index, most=1_600)
    assert_reads_little(failures, "event_(status_newest|workflow_runs)")
    assert 'FROM "logs_workflow"' in workflows


def test_without_a_failure_there_is_nothing_to_recover():
    assert len(statements_of(read_workflow_figures, select("window=7d&project=github/acme/project-6"))) == 4


def test_figures_of_a_branch_read_the_runs_of_the_branch():
    selection = select(f"window=7d&{ONE}&branch=main")
    runs, failures, _ends = statements_of(read_branch_figures, selection)
    assert_reads_little(runs, "event_workflow_runs", is_range=True, most=100)
    assert_reads_little(failures, "event_workflow_runs", is_range=True, most=100)


def test_jobs_are_found_by_the_ids_of_their_workflows(monkeypatch):
    monkeypatch.setattr(jobs, "MOST_RUNS", 5)
    monkeypatch.setattr(jobs, "READ_TOGETHER", 5)
    selection = select(f"window=90d&{ONE}")
    runs, events = statements_of(read_jobs, selection, selection.find_workflow())
    assert_reads_little(runs, "event_workflow_runs", is_range=True, most=100)
    assert_reads_little(events, "event_workflow_id", is_range=True, most=100)


def test_a_series_reads_the_sums_of_its_workflow():
    selection = select(f"window=7d&{ONE}")
    (statement,) = statements_of(read_series, selection.sums, selection.window, "day")
    assert_reads_little(statement, "(hourly_workflow_workflow|workflow_unique|hourly_workflow_hour)", most=900)


def test_the_bars_of_a_table_read_the_sums_of_its_workflows():
    selection = select("window=7d")
    keys = list(Workflow.objects.values_list("pk", flat=True)[:10])
    (statement,) = statements_of(read_workflow_bars, selection.window.period, selection.sums, keys)
    assert_reads_little(statement, "hourly_workflow_workflow", is_range=True, most=900)


def test_the_page_of_a_workflow_reads_the_sums_of_that_workflow(monkeypatch):
    monkeypatch.setattr(jobs, "MOST_RUNS", 5)
    selection = select(f"window=7d&{ONE}")
    statements = statements_of(read_workflow_page, selection, selection.find_workflow(), NOW)
    failures, _ends, runs, events, points, counts, quantiles, flakes = statements
    sums = "(hourly_workflow_workflow|workflow_unique|hourly_workflow_hour)"
    for statement in (points, counts, quantiles):
        assert_reads_little(statement, sums, most=900)
    for statement in (failures, runs):
        assert_reads_little(statement, "event_workflow_runs", is_range=True, most=100)
    assert_reads_little(events, "event_workflow_id", is_range=True, most=100)
    assert_reads_little(flakes, "flake_project_slug", is_range=True, most=100)


def test_recoveries_are_bounded(monkeypatch):
    monkeypatch.setattr(recoveries, "MOST_FAILURES", 3)
    failures, *ends = statements_of(read_breakages, select("window=60d"))
    assert "LIMIT 4" in failures
    assert len(ends) == 1
