"""The page of a workflow's figures."""

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from logs.admin.insights.query import TIMES, formulas, insights_query, window_labels
from logs.admin.links import changed, without
from logs.circleci.vocabulary import BAD_STATUSES, FINISHED_STATUSES, EventType
from logs.exceptions import InvalidQuery
from logs.insights.broken import read_broken_branches
from logs.insights.counting import refresh_if_stale
from logs.insights.dashboard import read_coverage
from logs.insights.flaky import existing_runs
from logs.insights.selecting import Selection, WorkflowFilterSet, read_selection
from logs.insights.watching import read_watch
from logs.insights.windows import DEFAULT
from logs.insights.workflow_page import read_workflow_page
from logs.models import RollupState, Workflow
from logs.permissions import VIEW_EVENTS
from logs.reading.query import check_names
from logs.templatetags.figures import hour_in_url
from logs.times import DAY, HOUR, duration

SHOWN_BREAKAGES = 20
SHOWN_FLAKY = 20


@require_safe
def workflow_view(request: HttpRequest) -> HttpResponse:
    """Show a workflow; for an invalid query, show the error instead, and for an unknown workflow, say so.

    Raises:
        PermissionDenied: the user may not view events.
    """
    if not request.user.has_perm(VIEW_EVENTS):
        raise PermissionDenied
    query = insights_query(request.GET)
    if query != request.GET:
        return HttpResponseRedirect(f"?{query.urlencode()}")
    context = {**admin.site.each_context(request), "title": query.get("workflow") or _("Insights")}
    template = "logs/admin/workflow_missing.html"
    try:
        check_names(query, known=WorkflowFilterSet.base_filters.keys(), repeatable=())
        selection = read_selection(WorkflowFilterSet, query, timezone.now())
        refresh_if_stale()
        workflow = selection.find_workflow()
    except InvalidQuery as error:
        return TemplateResponse(request, template, context | {"problem": str(error)}, status=400)
    if workflow is None:
        return TemplateResponse(request, template, context, status=404)
    context |= _shown(query, selection, workflow)
    return TemplateResponse(request, "logs/admin/workflow_page.html", context)


def _shown(query: QueryDict, selection: Selection, workflow: Workflow) -> dict[str, Any]:
    now, state = timezone.now(), RollupState.objects.first()
    page = read_workflow_page(selection, workflow, now)
    flaky = page.flaky[:SHOWN_FLAKY]
    return {
        "workflow": workflow,
        "broken": read_broken_branches(workflow.project_slug, workflow.name),
        "page": page,
        "breakages": page.breakages[:SHOWN_BREAKAGES],
        "window_end": min(now, selection.window.until),
        "flaky": flaky,
        "existing": existing_runs(flaky) if flaky else set(),
        "selection": selection,
        "step_length": _step_length(selection.window.period.bar_length),
        "watch": read_watch(),
        "coverage": read_coverage(selection.window.period, state) if state else None,
        "query": query,
        "windows": [
            (name == _window_name(query), label, f"?{changed(without(query, *TIMES), window=name).urlencode()}")
            for name, label in window_labels().items()
        ],
        "formulas": formulas(),
        # The query of the table of workflows in the same window, and those of links to lists of events.
        "same_window": without(query, "project", "workflow", "branch"),
        "anytime": QueryDict(),
        "events": _events_query(selection, workflow),
        "job_events": changed(_events_query(selection, workflow), event_type=EventType.JOB_COMPLETED),
        "bad_statuses": ",".join(BAD_STATUSES),
        "finished_statuses": ",".join(FINISHED_STATUSES),
        "api_url": f"{reverse('logs:workflows')}?{query.urlencode()}",
    }


def _step_length(length: timedelta) -> str:
    """Return the words for the length of the charts' steps, after "per"."""
    return {HOUR: _("hour"), DAY: _("day")}.get(length) or duration(length.total_seconds())


def _window_name(query: QueryDict) -> str:
    """Return the name of the selected window; empty for a window between two times."""
    return "" if query.keys() & TIMES else query.get("window", DEFAULT)


def _events_query(selection: Selection, workflow: Workflow) -> QueryDict:
    """Return the query of a list of the runs in the window."""
    return changed(
        QueryDict(),
        received_after=hour_in_url(selection.window.since),
        received_before=hour_in_url(selection.window.until),
        project=workflow.project_slug,
        workflow=workflow.name,
        branch=selection.branch,
        event_type=EventType.WORKFLOW_COMPLETED,
    )


admin.site.add_page("insights/workflow/", workflow_view, name="workflow")  # type: ignore[attr-defined]  # The site of logs.admin_site.
