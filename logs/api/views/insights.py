"""The endpoints for insights: the figures of workflows and jobs, and the runs behind them."""

from typing import Any, ClassVar

from django.utils import timezone
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer

from logs.api.serializers import insights as objects
from logs.api.views.base import ReadingView
from logs.insights import selecting
from logs.insights.counting import coverage, refresh_if_stale
from logs.insights.figures import DEFINITIONS
from logs.insights.flaky import flaky_of, read_flakes
from logs.insights.jobs import read_jobs
from logs.insights.pipelines import judge
from logs.insights.recoveries import read_breakages, sum_recoveries
from logs.insights.selecting import Selection
from logs.insights.series import read_series
from logs.insights.workflow_figures import (
    DEFAULT_ORDERING,
    check_ordering,
    read_branch_figures,
    read_workflow_figures,
    sort_workflows,
)
from logs.models import Workflow
from logs.permissions import VIEW_EVENTS
from logs.reading.filters import PagedFilterSet
from logs.reading.pipelines import MAX_EVENTS, read_pipeline
from logs.reading.query import read_whole_number
from logs.standings.flakes import STORED_FOR
from logs.times import HOUR

DEFAULT_LIMIT, MAX_LIMIT = 100, 5_000


class InsightView(ReadingView):
    """Returns figures with their window and the definitions of their fields."""

    required_permissions = [VIEW_EVENTS]
    filterset_class: ClassVar[type[PagedFilterSet]]
    serializer_class: ClassVar[type[Serializer[Any]]]
    is_limited: ClassVar[bool] = False
    needs_workflow: ClassVar[bool] = False  # Whether a project and a workflow are required.

    @property
    def parameters(self) -> "list[str]":
        """The names of the query parameters."""
        return [*self.filterset_class.base_filters, *(["limit"] if self.is_limited else []), "format"]

    def get(self, request: Request) -> Response:
        """Return the figures."""
        selection = selecting.read_selection(self.filterset_class, request.query_params, timezone.now())
        refresh_if_stale()
        counted_from, counted_until = coverage() or (None, None)
        if selection.on_default_branch and (unknown := selection.newest_hour_without_branches()):
            counted_from = unknown + HOUR
        answer = {
            "received_after": selection.window.since,
            "received_before": selection.window.until,
            "counted_from": counted_from,
            "counted_until": counted_until,
            "definitions": DEFINITIONS,
            **self.read(selection),
        }
        return Response(self.serializer_class(answer).data)

    def read(self, selection: Selection) -> dict[str, Any]:
        """Return the part of the answer that only this endpoint has."""
        raise NotImplementedError

    @property
    def limit(self) -> int:
        """The largest number of objects to return."""
        return read_whole_number(self.request.query_params, "limit", range(1, MAX_LIMIT + 1), default=DEFAULT_LIMIT)


class WorkflowsView(InsightView):
    """Returns the figures of workflows."""

    name = "Workflows"
    filterset_class = selecting.WorkflowFilterSet
    serializer_class = objects.WorkflowsSerializer
    is_limited = True

    @property
    def parameters(self) -> "list[str]":
        """The names of the query parameters."""
        return [*super().parameters, "ordering"]

    def read(self, selection: Selection) -> dict[str, Any]:
        """Return the figures in the requested order."""
        limit, ordering = self.limit, self.request.query_params.get("ordering", DEFAULT_ORDERING)
        check_ordering(ordering)
        if selection.branch:
            found, has_more = read_branch_figures(selection)
        else:
            found, has_more = read_workflow_figures(selection), False
        return {
            "exact": bool(selection.branch),
            "has_more": has_more or len(found) > limit,
            "workflows": sort_workflows(found, ordering)[:limit],
        }


class JobsView(InsightView):
    """Returns the figures of a workflow's jobs."""

    name = "Jobs"
    needs_workflow = True
    filterset_class = selecting.JobFilterSet
    serializer_class = objects.JobsSerializer

    def read(self, selection: Selection) -> dict[str, Any]:
        """Return the figures, in the order of the jobs' names."""
        jobs = read_jobs(selection, _workflow(selection))
        return {"runs": jobs.runs, "has_more": jobs.has_more, "since": jobs.since, "jobs": jobs.jobs}


class SeriesView(InsightView):
    """Returns a workflow's figures over time."""

    name = "Time series"
    needs_workflow = True
    filterset_class = selecting.SeriesFilterSet
    serializer_class = objects.SeriesSerializer

    def read(self, selection: Selection) -> dict[str, Any]:
        """Return a point for each hour or day."""
        _workflow(selection)
        points, has_more = read_series(selection.sums, selection.window, selection.step)
        return {"has_more": has_more, "points": points}


class RecoveriesView(InsightView):
    """Returns the breakages and recoveries of workflows."""

    name = "Recoveries"
    filterset_class = selecting.WorkflowFilterSet
    serializer_class = objects.RecoveriesSerializer
    is_limited = True

    def read(self, selection: Selection) -> dict[str, Any]:
        """Return the breakages, the newest first, and the figures of all of them."""
        limit, breakages = self.limit, read_breakages(selection)
        sums = sum_recoveries(breakages.rows)
        return {
            "recoveries": sums.count,
            "mttr": sums.mttr,
            "mttr_per_failure": sums.mttr_per_failure,
            "has_more": breakages.has_more or len(breakages.rows) > limit,
            "breakages": breakages.rows[:limit],
        }


class FlakyJobsView(ReadingView):
    """Returns the jobs and workflows that both failed and succeeded on a commit."""

    name = "Flaky jobs"
    required_permissions = [VIEW_EVENTS]
    filterset_class = selecting.ProjectFilterSet

    @property
    def parameters(self) -> "list[str]":
        """The names of the query parameters."""
        return [*self.filterset_class.base_filters, "format"]

    def get(self, request: Request) -> Response:
        """Return them, those on the most commits first."""
        now = timezone.now()
        slugs = selecting.read_selection(self.filterset_class, request.query_params, now).project_slugs
        flaky = flaky_of(read_flakes(now, **({} if slugs is None else {"project_slug__in": slugs})))
        answer = {"since": now - STORED_FOR, "has_more": flaky.has_more, "jobs": flaky.jobs + flaky.workflows}
        return Response(objects.FlakyJobsSerializer(answer).data)


class PipelineView(ReadingView):
    """Returns the verdict on a pipeline."""

    name = "Pipeline"
    required_permissions = [VIEW_EVENTS]

    def get(self, request: Request, pipeline_id: str) -> Response:
        """Return the verdict, and the runs that it is made from."""
        events = read_pipeline(pipeline_id)
        if not events:
            raise NotFound
        pipeline = objects.PipelineSerializer(judge(events[:MAX_EVENTS])).data
        return Response(pipeline | {"has_more": len(events) > MAX_EVENTS})


def _workflow(selection: Selection) -> Workflow:
    """Return the selected workflow.

    Raises:
        InvalidQuery: the project or the workflow is missing, or several projects share the name.
        NotFound: the log has not counted any of its runs.
    """
    workflow = selection.find_workflow()
    if workflow is None:
        raise NotFound("The log has no runs of this workflow.")
    return workflow
