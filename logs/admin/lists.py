"""The lists of events and deliveries: keyset pages, the API's filters, and live updates."""

from collections.abc import Mapping
from datetime import datetime
from operator import attrgetter
from typing import Any, ClassVar

from django.core.exceptions import PermissionDenied, TooManyFieldsSent
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse, QueryDict
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from logs.admin.inspector import InspectorAdmin
from logs.admin.links import changed, leading, to_row, without
from logs.admin.list_form import EXPORT, PICKERS, list_query
from logs.circleci.payload import MAX_TEXT_LENGTH
from logs.exceptions import InvalidQuery
from logs.models.events import SETTLED_AFTER
from logs.reading.choices import about_how_many, values_matching
from logs.reading.cursors import Direction, Reading
from logs.reading.filters import PagedFilterSet
from logs.reading.pages import MAX_SCANNED, Order, Page, Position
from logs.reading.query import check_names, read_filters, read_list
from logs.times import picker_value

PAGE_SIZE = 50
NEWER_SIZE = 200  # More rows than arrive in SETTLED_AFTER, because each poll returns all of them again.
OWN_PARAMETERS = {"cursor", "ordering"}
MAX_SUGGESTIONS = 20
EXPORTS = {"csv": "format=csv&bom=true", "ndjson": "format=ndjson"}  # The API's parameters for each format.


class ListAdmin(InspectorAdmin):
    """A list whose cost does not grow with the log.

    It takes the same parameters as the API's list, so a URL's query also works for an export.
    """

    filterset_class: ClassVar[type[PagedFilterSet]]
    orders: ClassVar[Mapping[str, Order]]
    row_template: ClassVar[str]
    suggested_columns: ClassVar[tuple[str, ...]] = ()  # Columns with suggestions; each is the first of an index.
    form_fields: ClassVar[frozenset[str]]  # The parameters with a field in the form, except for the date pickers.
    export_url_name: ClassVar[str]  # The URL name of the API's list.

    def get_urls(self) -> list[URLPattern]:
        """Return the URLs for live updates and suggestions, then the admin's own URLs."""
        view, meta = self.admin_site.admin_view, self.opts
        own = [
            path("newer/", view(self.newer_view), name=f"{meta.app_label}_{meta.model_name}_newer"),
            path("suggestions/", view(self.suggestions_view), name=f"{meta.app_label}_{meta.model_name}_suggestions"),
        ]
        return own + super().get_urls()

    def rows(self) -> QuerySet[Any]:
        """Return all rows with the columns that the list shows."""
        raise NotImplementedError

    def context(self, query: QueryDict) -> dict[str, Any]:
        """Return the context that only this list's template needs."""
        return {}

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show a page of the list; for an invalid query, show the error instead of rows."""
        self._require_permission(request)
        query = list_query(request.GET, self.filterset_class.repeatable())
        if query != request.GET:
            return HttpResponseRedirect(self._export_url(query, request.GET.get(EXPORT, "")) or f"?{query.urlencode()}")
        try:
            shown, status = self._shown(request.GET), 200
        except InvalidQuery as error:
            shown, status = {"problem": str(error)}, 400
        context = {
            **self.admin_site.each_context(request),
            "title": str(self.opts.verbose_name_plural).capitalize(),
            "opts": self.opts,
            "query": request.GET.dict(),
            "row_template": self.row_template,
            "row_query": to_row(request.GET),
            "max_scanned": MAX_SCANNED,
            "filter_count": len(request.GET.keys() - OWN_PARAMETERS),
            "order_link": leading(without(request.GET, *OWN_PARAMETERS)) + "ordering=",
            # The form keeps parameters that have no field.
            "hidden_fields": {
                name: value for name, value in request.GET.items() if name not in self.form_fields | {"cursor"}
            },
            "pickers": {picker: picker_value(request.GET.get(name, "")) for picker, name in PICKERS.items()},
            **self.context(request.GET),
            **shown,
        }
        template = self.change_list_template or f"admin/logs/{self.opts.model_name}/change_list.html"
        return TemplateResponse(request, template, context, status=status)

    def newer_view(self, request: HttpRequest) -> HttpResponse:
        """Return the rows since the last poll as HTML, and the cursor for the next poll.

        Each poll returns the rows of the last minute again: an earlier row may be committed after them, and the rows
        may have been updated to newer versions.
        """
        self._require_permission(request)
        now = timezone.now()
        try:
            reading = self._reading(request.GET)
        except InvalidQuery as error:
            return JsonResponse({"refusal": str(error)}, status=400)
        page = reading.page(NEWER_SIZE)
        context = {"row_query": to_row(without(request.GET, "cursor"))}
        html = "".join(render_to_string(self.row_template, {"row": row, **context}, request) for row in page.rows)
        return JsonResponse({"html": html, "cursor": _cursor_of_newer(reading, page, now)})

    def suggestions_view(self, request: HttpRequest) -> HttpResponse:
        """Return values of a column that start with the typed text, in any case."""
        self._require_permission(request)
        column = request.GET.get("column", "")
        if column not in self.suggested_columns:
            return JsonResponse({"refusal": _("This column has no suggestions.")}, status=400)
        start = request.GET.get("start", "").replace("\x00", "")[:MAX_TEXT_LENGTH]
        found = values_matching(self.model, column, f"{start}*", most=MAX_SUGGESTIONS)
        return JsonResponse({"values": list(filter(None, found.values))[:MAX_SUGGESTIONS]})

    def trail(self, request: HttpRequest, row: Model) -> dict[str, Any]:
        """Return the links from a row's page back to the list it was opened from, and to its neighbours there.

        The list's query is in the parameter ``list``.
        """
        query, reading = self._opened_from(request.GET.get("list", ""))
        before, after = reading.around(row)
        return {**self._list_context(query), "row_before": before, "row_after": after}

    def way_back(self, text: str) -> dict[str, Any]:
        """Return the link back to the list with a query; an invalid query stands for the whole list."""
        query, _reading = self._opened_from(text)
        return self._list_context(query)

    def _opened_from(self, text: str) -> tuple[QueryDict, Reading]:
        try:
            query = list_query(QueryDict(text), self.filterset_class.repeatable())
            return query, self._reading(without(query, "cursor"))
        except (InvalidQuery, TooManyFieldsSent):
            return QueryDict(), self._reading(QueryDict())

    def list_url(self) -> str:
        """Return the URL of the list."""
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")

    def _list_context(self, query: QueryDict) -> dict[str, Any]:
        url = self.list_url()
        return {
            "list_query": query.urlencode(),
            "list_url": f"{url}?{query.urlencode()}" if query else url,
            "list_filters": ", ".join(f"{name}: {query[name]}" for name in query if name not in OWN_PARAMETERS),
            "row_query": to_row(query),
        }

    def _export_url(self, query: QueryDict, form: str) -> str | None:
        """Return the URL of an export in one of EXPORTS; None for another format, or if the query is invalid."""
        try:
            self._reading(query)
        except InvalidQuery:
            return None
        return f"{reverse(self.export_url_name)}{leading(query)}{EXPORTS[form]}" if form in EXPORTS else None

    def _require_permission(self, request: HttpRequest) -> None:
        if not self.has_view_permission(request):
            raise PermissionDenied

    def _reading(self, query: QueryDict) -> Reading:
        """Return the rows that match a query.

        Raises:
            InvalidQuery: a parameter is invalid.
        """
        known = self.filterset_class.base_filters.keys() | OWN_PARAMETERS
        check_names(query, known=known, repeatable=self.filterset_class.repeatable())
        return read_list(read_filters(self.filterset_class, query, self.rows()), self.orders)

    def _shown(self, query: QueryDict) -> dict[str, Any]:
        now = timezone.now()
        reading = self._reading(query)
        page = reading.page(PAGE_SIZE)
        is_start = not reading.cursor
        is_live = is_start and reading.is_newest_first
        is_whole = is_start and not query.keys() - OWN_PARAMETERS
        return {
            "rows": page.rows,
            **page_links(query, reading, page),
            "ordering": reading.ordering,
            "about": about_how_many(self.model) if is_whole else None,
            "is_live": is_live,
            "live_cursor": _cursor_of_newer(reading, page, now) if is_live else "",
        }


def page_links(query: QueryDict, reading: Reading, page: Page) -> dict[str, str | None]:
    """Return the links to the pages before and after a page, and to the first page; None if there is no such page."""
    # Relative times become absolute.
    times = reading.filterset.absolute_times()
    links = {
        direction: f"?{changed(query, **times, cursor=cursor).urlencode()}"
        for direction, cursor in reading.neighbours(page).items()
    }
    return {
        "newer_link": links.get(Direction.PREV),
        "older_link": links.get(Direction.NEXT),
        "first_link": f"?{without(query, 'cursor').urlencode()}" if reading.cursor else None,
    }


def _cursor_of_newer(reading: Reading, page: Page, requested_at: datetime) -> str:
    """Return the cursor from which a poll reads every row that may still appear or change.

    Args:
        reading: the list from its start, or backwards from such a cursor.
        page: a page of `reading`.
        requested_at: when the page was requested. A row appears when it is committed, possibly after rows that arrived
            later; no row older than SETTLED_AFTER appears or changes.
    """
    in_order = attrgetter("key", "pk")
    settled = Position(key=requested_at - SETTLED_AFTER, pk=0)
    end = page.end or settled
    if reading.cursor:
        position = max(reading.cursor.position, min(settled, end, key=in_order), key=in_order)
    else:
        position = max(settled, end, key=in_order)  # Rows after a full page are on the next page.
    return reading.cursor_to(position, Direction.PREV)
