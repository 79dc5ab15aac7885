"""The objects of the insights: what their fields mean, and how they are filled."""

from typing import Any

from rest_framework import serializers

from logs.api.flat import Flat
from logs.insights.figures import DEFINITIONS
from logs.insights.pipelines import State

PROJECT_SLUG = "The project's slug, such as `github/acme/orchard`."
PROJECT = "The project's name."
WORKFLOW = "The workflow's name."
BRANCH = "The branch."


def _figure(kind: type[serializers.Field[Any, Any, Any, Any]], name: str, source: str = "", **options: Any) -> Any:
    """Return a field for a figure with a definition."""
    return kind(source=source or f"figures.{name}", help_text=DEFINITIONS[name], **options)


class FiguresSerializer(Flat):
    """The figures of runs."""

    total_runs = _figure(serializers.IntegerField, "total_runs")
    successful_runs = _figure(serializers.IntegerField, "successful_runs")
    failed_runs = _figure(serializers.IntegerField, "failed_runs")
    statuses = _figure(serializers.DictField, "statuses", child=serializers.IntegerField())
    success_rate = _figure(serializers.FloatField, "success_rate", allow_null=True)
    success_rate_of_all = _figure(serializers.FloatField, "success_rate_of_all")
    throughput = _figure(serializers.FloatField, "throughput")
    min_seconds = _figure(serializers.IntegerField, "min_seconds", "figures.durations.min", allow_null=True)
    mean_seconds = _figure(serializers.IntegerField, "mean_seconds", "figures.durations.mean", allow_null=True)
    median_seconds = _figure(serializers.IntegerField, "median_seconds", "figures.durations.median", allow_null=True)
    p95_seconds = _figure(serializers.IntegerField, "p95_seconds", "figures.durations.p95", allow_null=True)
    max_seconds = _figure(serializers.IntegerField, "max_seconds", "figures.durations.max", allow_null=True)


class WorkflowNamesSerializer(Flat):
    """The names of a workflow. As the first base class, it puts them first."""

    project_slug = serializers.CharField(source="workflow.project_slug", help_text=PROJECT_SLUG, allow_null=True)
    project = serializers.CharField(source="workflow.project", help_text=PROJECT, allow_null=True)
    workflow = serializers.CharField(source="workflow.name", help_text=WORKFLOW, allow_null=True)


class WorkflowSerializer(WorkflowNamesSerializer, FiguresSerializer):
    """The figures of a workflow."""

    recoveries = _figure(serializers.IntegerField, "recoveries", "recoveries.count")
    mttr = _figure(serializers.FloatField, "mttr", "recoveries.mttr", allow_null=True)
    mttr_per_failure = _figure(
        serializers.FloatField, "mttr_per_failure", "recoveries.mttr_per_failure", allow_null=True
    )


class JobNameSerializer(Flat):
    """The name of a job. As the first base class, it puts it first."""

    job = serializers.CharField(source="name", help_text="The job's name.", allow_null=True)


class JobSerializer(JobNameSerializer, FiguresSerializer):
    """The figures of a job."""


class PointSerializer(Flat):
    """The runs of a workflow in an hour or a day."""

    since = serializers.DateTimeField(help_text="When the step begins.")
    total_runs = serializers.IntegerField(help_text="All runs.")
    successful_runs = serializers.IntegerField(help_text="Those that succeeded.")
    failed_runs = serializers.IntegerField(help_text="Those that failed.")
    median_seconds = serializers.IntegerField(source="median", help_text="The median duration.", allow_null=True)
    p95_seconds = serializers.IntegerField(
        source="p95", help_text="The 95th percentile of the durations.", allow_null=True
    )


class RecoverySerializer(Flat):
    """The failed runs of a workflow on a branch, and the run that recovered."""

    project_slug = serializers.CharField(help_text=PROJECT_SLUG, allow_null=True)
    project = serializers.CharField(help_text=PROJECT, allow_null=True)
    workflow = serializers.CharField(help_text=WORKFLOW, allow_null=True)
    branch = serializers.CharField(help_text=BRANCH, allow_null=True)
    failures = serializers.IntegerField(help_text="The number of failed runs.")
    failed_at = serializers.DateTimeField(help_text="When the first failed run ended.")
    failed = serializers.CharField(help_text="Its event id.")
    recovered_at = serializers.DateTimeField(
        help_text="When the next successful run ended; null if no run has succeeded since.", allow_null=True
    )
    recovered = serializers.CharField(help_text="Its event id.", allow_null=True)
    seconds = serializers.FloatField(help_text="The time between the two.", allow_null=True)


class FlakyJobSerializer(Flat):
    """A job, or a workflow, that both failed and succeeded on a commit."""

    project_slug = serializers.CharField(source="last.project_slug", help_text=PROJECT_SLUG, allow_null=True)
    project = serializers.CharField(source="last.project", help_text=PROJECT, allow_null=True)
    workflow = serializers.CharField(source="last.workflow", help_text=WORKFLOW, allow_null=True)
    job = serializers.CharField(
        source="last.job", help_text="The job's name; null if the workflow itself is flaky.", allow_null=True
    )
    commits = serializers.IntegerField(help_text="The number of commits on which it both failed and succeeded.")
    failures = serializers.IntegerField(help_text="How many of its runs on these commits failed.")
    last_seen_at = serializers.DateTimeField(source="last.seen_at", help_text="When the newest of these runs arrived.")
    branch = serializers.CharField(source="last.branch", help_text="The branch of that run.", allow_null=True)
    revision = serializers.CharField(source="last.revision", help_text="The commit of that run.")


class WorkflowRunSerializer(Flat):
    """A run of a workflow in a pipeline."""

    workflow = serializers.CharField(source="name", help_text=WORKFLOW, allow_null=True)
    workflow_id = serializers.CharField(help_text="The workflow's id.", allow_null=True)
    state = serializers.ChoiceField(choices=list(State), help_text="The state of the run.")
    is_rerun = serializers.BooleanField(help_text="Whether a workflow of this name ran earlier in the pipeline.")
    stopped_at = serializers.DateTimeField(help_text="When it ended, or its last job if the log has no end.")
    failed_jobs = serializers.ListField(child=serializers.CharField(), help_text="The names of its failed jobs.")
    url = serializers.CharField(help_text="The workflow's URL in CircleCI.", allow_null=True)


class PipelineSerializer(Flat):
    """The verdict on a pipeline."""

    computed = ("workflows", "has_more")

    pipeline_id = serializers.CharField(source="about.pipeline_id", help_text="The pipeline's id.")
    pipeline_number = serializers.IntegerField(source="about.pipeline_number", help_text="Its number.", allow_null=True)
    project_slug = serializers.CharField(source="about.project_slug", help_text=PROJECT_SLUG, allow_null=True)
    project = serializers.CharField(source="about.project", help_text=PROJECT, allow_null=True)
    branch = serializers.CharField(source="about.branch", help_text=BRANCH, allow_null=True)
    revision = serializers.CharField(source="about.revision", help_text="The commit's hash.", allow_null=True)
    state = serializers.ChoiceField(
        choices=list(State), help_text="The worst state of its workflows; of a workflow, its last run decides."
    )
    reruns = serializers.IntegerField(help_text="How many runs repeated a workflow.")
    verified = serializers.BooleanField(
        source="is_proven", help_text="Whether CircleCI signed the events that decide, or they come from its API."
    )
    has_more = serializers.BooleanField(help_text="Whether the pipeline has more than 100 events, which were not read.")
    workflows = WorkflowRunSerializer(many=True, help_text="Its runs, in the order in which they ended.")

    def to_representation(self, instance: Any) -> dict[str, Any]:
        """Return the verdict and its runs."""
        runs = WorkflowRunSerializer(instance.runs, many=True).data
        return super().to_representation(instance) | {"workflows": runs}


class InsightSerializer(serializers.Serializer[Any]):
    """The part that all answers have."""

    received_after = serializers.DateTimeField(help_text="Where the window begins.")
    received_before = serializers.DateTimeField(help_text="Where it ends.")
    counted_from = serializers.DateTimeField(
        help_text="The first hour of the log that is counted; null if none is.", allow_null=True
    )
    counted_until = serializers.DateTimeField(help_text="Events written later are not counted yet.", allow_null=True)
    definitions = serializers.DictField(child=serializers.CharField(), help_text="How the figures are computed.")


class WorkflowsSerializer(InsightSerializer):
    """The figures of workflows."""

    exact = serializers.BooleanField(help_text=DEFINITIONS["exact"])
    has_more = serializers.BooleanField(help_text="Whether `limit`, or the 5,000 runs of a branch, left some out.")
    workflows = WorkflowSerializer(many=True, help_text="The workflows that ran, in the requested order.")


class JobsSerializer(InsightSerializer):
    """The figures of a workflow's jobs."""

    runs = serializers.IntegerField(help_text="How many runs of the workflow the jobs belong to.")
    has_more = serializers.BooleanField(
        help_text="Whether older runs of the window were left out, or jobs of runs with very many."
    )
    since = serializers.DateTimeField(help_text="When the first of these runs arrived.", allow_null=True)
    jobs = JobSerializer(many=True, help_text="The jobs, in the order of their names.")


class SeriesSerializer(InsightSerializer):
    """A workflow over time."""

    has_more = serializers.BooleanField(help_text="Whether steps before the newest 800 were left out.")
    points = PointSerializer(many=True, help_text="A point for each hour or day, the oldest first.")


class RecoveriesSerializer(InsightSerializer):
    """Breakages and recoveries, the newest first."""

    recoveries = serializers.IntegerField(help_text=DEFINITIONS["recoveries"])
    mttr = serializers.FloatField(help_text=DEFINITIONS["mttr"], allow_null=True)
    mttr_per_failure = serializers.FloatField(help_text=DEFINITIONS["mttr_per_failure"], allow_null=True)
    has_more = serializers.BooleanField(
        help_text="Whether `limit` left some out, or failed runs before the newest 10,000."
    )
    breakages = RecoverySerializer(many=True, help_text="The newest failures first.")


class FlakyJobsSerializer(serializers.Serializer[Any]):
    """Flaky jobs and workflows."""

    since = serializers.DateTimeField(help_text="Runs that arrived earlier are left out.")
    has_more = serializers.BooleanField(help_text="Whether older ones were left out.")
    jobs = FlakyJobSerializer(many=True, help_text="Those on the most commits first.")
