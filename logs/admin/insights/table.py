"""The table of workflows and their figures."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.core.paginator import InvalidPage, Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from logs.admin.insights.query import TIMES, formulas, insights_query, window_labels
from logs.admin.links import Chip, changed, chips, leading, without
from logs.admin.list_form import PICKERS
from logs.exceptions import InvalidQuery
from logs.insights.charts import HasBars
from logs.insights.counting import refresh_if_stale
from logs.insights.dashboard import read_coverage
from logs.insights.projects import unclear_names
from logs.insights.selecting import DefaultBranchFilterSet, Selection, read_selection
from logs.insights.totals import bars_of
from logs.insights.watching import read_watch
from logs.insights.windows import DEFAULT
from logs.insights.workflow_figures import DEFAULT_ORDERING, WorkflowFigures, read_workflow_figures, sort_workflows
from logs.insights.workflows import read_workflow_bars
from logs.models import RollupState
from logs.permissions import VIEW_EVENTS
from logs.reading.query import check_names
from logs.times import picker_value

PAGE_SIZE, MOST_ON_ONE_PAGE = 50, 500
ALL = "all"  # The value of `page` that shows all workflows on one page.
OWN_PARAMETERS = frozenset({"ordering", "page"})
FORM_FIELDS = frozenset({"project", "workflow"})


@dataclass(frozen=True, kw_only=True)
class Row(HasBars):
    """A workflow's figures, and the bars of its runs."""

    figures: WorkflowFigures


@require_safe
def insights_view(request: HttpRequest) -> HttpResponse:
    """Show the figures of workflows; for an invalid query, show the error instead.

    Raises:
        PermissionDenied: the user may not view events.
    """
    if not request.user.has_perm(VIEW_EVENTS):
        raise PermissionDenied
    query = insights_query(request.GET)
    if query != request.GET:
        return HttpResponseRedirect(f"?{query.urlencode()}")
    try:
        shown, status = _shown(query), 200
    except InvalidQuery as error:
        shown, status = {"problem": str(error)}, 400
    context = {
        **admin.site.each_context(request),
        "title": _("Insights"),
        "query": query.dict(),
        "pickers": {picker: picker_value(query.get(name, "")) for picker, name in PICKERS.items()},
        "hidden_fields": {name: value for name, value in query.items() if name not in FORM_FIELDS and name != "page"},
        "groups": [
            (_("Time"), _window_chips(query)),
            (_("Branches"), chips(query, "default_branch", {"": _("All branches"), "true": _("Default branches")})),
        ],
        "filter_count": len(query.keys() - OWN_PARAMETERS),
        "order_link": leading(without(query, *OWN_PARAMETERS)) + "ordering=",
        "same_window": without(query, *OWN_PARAMETERS, *FORM_FIELDS),
        "formulas": formulas(),
        **shown,
    }
    return TemplateResponse(request, "logs/admin/insights_page.html", context, status=status)


def _shown(query: QueryDict) -> dict[str, Any]:
    check_names(query, known=DefaultBranchFilterSet.base_filters.keys() | OWN_PARAMETERS, repeatable=())
    selection = read_selection(DefaultBranchFilterSet, query, timezone.now())
    refresh_if_stale()
    ordering, state = query.get("ordering", DEFAULT_ORDERING), RollupState.objects.first()
    found = sort_workflows(read_workflow_figures(selection), ordering)
    return {
        "ordering": ordering,
        "window": selection.window,
        "watch": read_watch(),
        "coverage": read_coverage(selection.window.period, state) if state else None,
        "is_unknown_project": selection.project_slugs == [],
        "count": len(found),
        "most_on_one_page": MOST_ON_ONE_PAGE,
        **_page(query, selection, found),
    }


def _page(query: QueryDict, selection: Selection, found: Sequence[WorkflowFigures]) -> dict[str, Any]:
    """Return the rows of the requested page, and the links to other pages; a missing page has no link.

    Raises:
        InvalidQuery: the requested page does not exist.
    """
    if query.get("page") == ALL:
        some = found[:MOST_ON_ONE_PAGE]
        return {**_table(selection, some), "is_cut": len(found) > len(some)}
    pages = Paginator(found, PAGE_SIZE)
    try:
        page = pages.page(query.get("page", 1))
    except InvalidPage as error:
        raise InvalidQuery(f"page must be a whole number from 1 to {pages.num_pages}, or {ALL}.") from error

    def link(number: int | str) -> str:
        return f"?{changed(query, page=str(number)).urlencode()}"

    return {
        **_table(selection, list(page.object_list)),
        "first_link": link("") if page.has_previous() else None,
        "newer_link": link(page.previous_page_number()) if page.has_previous() else None,
        "older_link": link(page.next_page_number()) if page.has_next() else None,
        "all_link": link(ALL) if page.has_other_pages() else None,
    }


def _table(selection: Selection, found: Sequence[WorkflowFigures]) -> dict[str, Any]:
    return {
        "rows": _rows(selection, found),
        "unclear_names": unclear_names(each.workflow for each in found),
    }


def _rows(selection: Selection, found: Sequence[WorkflowFigures]) -> list[Row]:
    period, keys = selection.window.period, [each.workflow.pk for each in found]
    bars = read_workflow_bars(period, selection.sums, keys)
    return [Row(figures=each, bars=bars_of(period, bars[each.workflow.pk])) for each in found]


def _window_chips(query: QueryDict) -> list[Chip]:
    """Return the windows to choose from; a choice replaces the times of the date pickers."""
    offered = window_labels()
    chosen = query if query.keys() & TIMES else changed(query, window=query.get("window", DEFAULT))
    return chips(chosen, "window", offered, drop=TIMES)[: len(offered)]


admin.site.add_page("insights/", insights_view, name="insights")  # type: ignore[attr-defined]  # The site of logs.admin_site.
