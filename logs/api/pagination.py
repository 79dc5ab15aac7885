"""Pages of a list: a bare array, with the addresses of the first, next and previous page in ``Link`` (RFC 8288)."""

from collections.abc import Iterator
from typing import Any

from django.db.models import Model, QuerySet
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import remove_query_param, replace_query_param
from rest_framework.views import APIView

from logs.api.errors import BadRequest
from logs.reading import cursors
from logs.reading.pages import Page

DEFAULT_LIMIT = 50
MAX_LIMIT = 500


class InvalidCursor(BadRequest):
    """A cursor that no `Link` header has given."""

    default_detail = "The cursor is not one that a Link header has given for this ordering."
    default_code = "invalid_cursor"


class KeysetPagination(BasePagination):
    """Reads pages by keyset: each starts behind a row, not at a number, so a deep page costs what the first one does.

    The view tells what rows may be ordered by (``orders``, by name), what stands first (``default_ordering``), and, in
    ``filterset``, what a page has to search through.
    """

    def paginate_queryset(  # type: ignore[override]  # It needs a queryset.
        self, queryset: QuerySet[Any], request: Request, view: APIView | None = None
    ) -> list[Any]:
        """Return the rows of the page that ``limit``, ``ordering`` and ``cursor`` ask for.

        Raises:
            BadRequest: one of them is not as it must be.
        """
        reading = reading_of(request, view)
        page = reading.page(_limit(request))
        self.links = _links(request, view, reading, page)
        return page.rows

    def get_paginated_response(self, data: Any) -> Response:
        """Return the page as it is, with the links in its header."""
        return Response(data, headers={"Link": self.links})


def reading_of(request: Request, view: Any) -> cursors.Reading:
    """Return what a request reads by a view whose filter set has been made.

    Raises:
        BadRequest: its ordering or its cursor is not as it must be.
    """
    query = request.query_params
    try:
        return cursors.Reading(
            view.filterset,
            orders=view.orders,
            ordering=query.get("ordering") or view.default_ordering,
            cursor=query.get("cursor", ""),
        )
    except cursors.InvalidOrdering as error:
        raise BadRequest(str(error), "invalid_ordering") from error
    except cursors.InvalidCursor as error:
        raise InvalidCursor from error


def all_rows(request: Request, view: Any) -> Iterator[Model]:
    """Return every row from the cursor's place on.

    Raises:
        BadRequest: the cursor leads backwards.
    """
    reading = reading_of(request, view)
    if reading.backwards:
        raise BadRequest("A cursor of prev leads to a page: add a limit.", "invalid_cursor")
    return reading.all_rows()


def _links(request: Request, view: Any, reading: cursors.Reading, page: Page) -> str:
    url = request.build_absolute_uri()
    for name, moment in view.filterset.fixed_moments().items():
        url = replace_query_param(url, name, moment)
    addresses = {"first": remove_query_param(url, "cursor")}
    for direction, cursor in reading.neighbours(page).items():
        addresses[direction] = replace_query_param(url, "cursor", cursor)
    return ", ".join(f'<{address}>; rel="{relation}"' for relation, address in addresses.items())


def _limit(request: Request) -> int:
    parameter = request.query_params.get("limit") or str(DEFAULT_LIMIT)
    if not (parameter.isascii() and parameter.isdigit() and len(parameter) < 10 and 1 <= int(parameter) <= MAX_LIMIT):
        raise BadRequest(f"limit must be a whole number from 1 to {MAX_LIMIT}.", "invalid_limit")
    return int(parameter)
