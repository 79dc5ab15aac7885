"""Pages of a list: a bare array, with the URLs of the first, next and previous page in ``Link`` (RFC 8288)."""

from collections.abc import Iterator
from typing import Any

from django.db.models import Model, QuerySet
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import remove_query_param, replace_query_param
from rest_framework.views import APIView

from logs.exceptions import InvalidQuery
from logs.reading.cursors import Reading
from logs.reading.pages import Page
from logs.reading.query import read_list, read_whole_number

DEFAULT_LIMIT = 50
MAX_LIMIT = 500


class KeysetPagination(BasePagination):
    """Reads pages by keyset: each starts after a row instead of at an offset; a deep page costs as much as the first.

    The view holds the available orders (``orders``, by name) and the filters set by its backend (``filterset``).
    """

    def paginate_queryset(  # type: ignore[override]  # It needs a queryset.
        self, queryset: QuerySet[Any], request: Request, view: APIView | None = None
    ) -> list[Any]:
        """Return the rows of the page that ``limit``, ``ordering`` and ``cursor`` ask for.

        Raises:
            InvalidQuery: one of these parameters is invalid.
        """
        reading = _read(view)
        page = reading.page(_limit(request))
        self.links = _links(request, reading, page)
        return page.rows

    def get_paginated_response(self, data: Any) -> Response:
        """Return the page with its links in the header."""
        return Response(data, headers={"Link": self.links})


def all_rows(view: Any) -> Iterator[Model]:
    """Yield every row from the cursor on.

    Raises:
        InvalidQuery: the ordering or the cursor is invalid, or the cursor leads backwards.
    """
    reading = _read(view)
    if reading.backwards:
        raise InvalidQuery("A prev cursor leads to a single page: add a limit.", "invalid_cursor")
    return reading.all_rows()


def _read(view: Any) -> Reading:
    return read_list(view.filterset, view.orders)


def _links(request: Request, reading: Reading, page: Page) -> str:
    url = request.build_absolute_uri()
    for name, time in reading.filterset.absolute_times().items():
        url = replace_query_param(url, name, time)
    urls = {"first": remove_query_param(url, "cursor")}
    for direction, cursor in reading.neighbours(page).items():
        urls[direction] = replace_query_param(url, "cursor", cursor)
    return ", ".join(f'<{url}>; rel="{relation}"' for relation, url in urls.items())


def _limit(request: Request) -> int:
    accepted = range(1, MAX_LIMIT + 1)
    return read_whole_number(request.query_params, "limit", accepted, default=DEFAULT_LIMIT, code="invalid_limit")
