"""Example responses of the insights, shown by the same objects as the site's own."""

from dataclasses import asdict
from datetime import timedelta

from logs.api.schema.examples import ARRIVED, WORKFLOW
from logs.api.serializers import insights
from logs.circleci import samples
from logs.circleci.payload import read_event
from logs.insights.figures import DEFINITIONS, Durations, Figures
from logs.insights.flaky import FlakyJob
from logs.insights.jobs import Job
from logs.insights.pipelines import judge
from logs.insights.recoveries import Breakage, sum_recoveries
from logs.insights.series import Point
from logs.insights.windows import window_named
from logs.insights.workflow_figures import WorkflowFigures
from logs.models import Flake, Workflow, WorkflowEvent
from logs.times import HOUR, hour_of

_run = WorkflowEvent(**asdict(read_event(samples.encode(WORKFLOW))), received_at=ARRIVED, verified=True)
_window = window_named("30d", ARRIVED)
_figures = Figures(
    statuses={"success": 49, "failed": 30, "error": 3, "canceled": 4},
    first_at=_window.since,
    last_at=ARRIVED,
    durations=Durations(min=312, mean=540, median=528, p95=811, max=1_204),
)
_breakage = Breakage(
    project_slug=_run.project_slug,
    project=_run.project,
    workflow=_run.workflow,
    branch=_run.branch,
    failures=2,
    failed_at=ARRIVED - 3 * HOUR,
    failed=_run.event_id,
    failed_key=1,
    recovered_at=ARRIVED - HOUR,
    recovered="6d2b0a1e-5f0c-4c55-9a57-3b0a6f1f7c11",
    recovered_key=2,
)
_recoveries = sum_recoveries([_breakage])
_workflow = Workflow(project_slug=_run.project_slug, project=_run.project, name=_run.workflow)
_point = Point(since=hour_of(ARRIVED), total_runs=5, successful_runs=4, failed_runs=1, median=520, p95=790)
_flake = Flake(
    project_slug=_run.project_slug,
    project=_run.project,
    workflow=_run.workflow,
    job="unit-tests",
    branch=_run.branch,
    revision=_run.revision,
    seen_at=ARRIVED,
)
_common = {
    "received_after": _window.since,
    "received_before": _window.until,
    "counted_from": _window.since - timedelta(days=60),
    "counted_until": ARRIVED,
    "definitions": {"throughput": DEFINITIONS["throughput"]},  # And of all other figures.
}

WORKFLOWS = insights.WorkflowsSerializer(
    _common
    | {
        "exact": False,
        "has_more": False,
        "workflows": [WorkflowFigures(workflow=_workflow, figures=_figures, recoveries=_recoveries)],
    }
).data
JOBS = insights.JobsSerializer(
    _common
    | {"runs": 86, "has_more": False, "since": _window.since, "jobs": [Job(name="unit-tests", figures=_figures)]}
).data
SERIES = insights.SeriesSerializer(_common | {"has_more": False, "points": [_point]}).data
RECOVERIES = insights.RecoveriesSerializer(
    _common
    | {
        "recoveries": _recoveries.count,
        "mttr": _recoveries.mttr,
        "mttr_per_failure": _recoveries.mttr_per_failure,
        "has_more": False,
        "breakages": [_breakage],
    }
).data
FLAKY_JOBS = insights.FlakyJobsSerializer(
    {
        "since": ARRIVED - timedelta(days=14),
        "has_more": False,
        "jobs": [FlakyJob(last=_flake, commits=3, failures=4)],
    }
).data
PIPELINE = insights.PipelineSerializer(judge([_run])).data | {"has_more": False}
