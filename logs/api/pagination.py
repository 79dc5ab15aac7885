"""Pages of a list: a bare array, with the addresses of the first, next and previous page in ``Link`` (RFC 8288)."""

import math
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import chain
from typing import Any, Self

from django.db.models import Model, QuerySet
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import remove_query_param, replace_query_param
from rest_framework.views import APIView

from logs.api.errors import BadRequest
from logs.models.pages import MAX_PRIMARY_KEY, Listing, Page, Place

DEFAULT_LIMIT = 50
MAX_LIMIT = 500
STREAM_PAGE_SIZE = 2_000
EPOCH = datetime.fromtimestamp(0, UTC)


class InvalidCursor(BadRequest):
    """A cursor that no `Link` header has given."""

    default_detail = "The cursor is not one that a Link header has given for this ordering."
    default_code = "invalid_cursor"


class Direction(StrEnum):
    """Which way a page lies; the words are those of RFC 8288's relations."""

    NEXT = "next"
    PREV = "prev"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """A place in an ordering, and which way to read from it."""

    ordering: str
    direction: Direction
    place: Place

    def encode(self) -> str:
        """Return the cursor as a query parameter; its inside is no promise to clients."""
        key = self.place.key
        number = (key - EPOCH) // timedelta(microseconds=1) if isinstance(key, datetime) else key
        text = f"{self.ordering} {self.direction} {number} {self.place.pk}"
        return urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def decode(cls, parameter: str, ordering: str) -> Self:
        """Read a cursor that `encode` has made for the same ordering.

        Raises:
            InvalidCursor: it is none of these.
        """
        try:
            text = urlsafe_b64decode(parameter.encode() + b"=" * (-len(parameter) % 4)).decode()
            its_ordering, direction, number, pk = text.split(" ")
            is_moment = ordering.removeprefix("-") != "duration"
            key = EPOCH + timedelta(microseconds=int(number)) if is_moment else float(number)
            cursor = cls(ordering=its_ordering, direction=Direction(direction), place=Place(key=key, pk=int(pk)))
        except (ValueError, OverflowError) as error:
            raise InvalidCursor from error
        is_number = is_moment or math.isfinite(cursor.place.key)
        if its_ordering != ordering or not is_number or not 0 <= cursor.place.pk <= MAX_PRIMARY_KEY:
            raise InvalidCursor
        return cursor


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
        reading = Reading(request, queryset, view)
        page = reading.page(_limit(request))
        self.links = reading.links(page)
        return page.rows

    def get_paginated_response(self, data: Any) -> Response:
        """Return the page as it is, with the links in its header."""
        return Response(data, headers={"Link": self.links})


class Reading:
    """What a request reads: the rows, in an order, from a place."""

    def __init__(self, request: Request, rows: QuerySet[Any], view: Any) -> None:
        self.url = request.build_absolute_uri()
        for name, moment in view.filterset.fixed_moments().items():
            self.url = replace_query_param(self.url, name, moment)
        self.ordering = _ordering(request, view)
        order = view.orders[self.ordering.removeprefix("-")]
        self.listing = Listing(
            rows=rows,
            order=order,
            descending=self.ordering.startswith("-"),
            scan=view.filterset.scan(order.column),
        )
        parameter = request.query_params.get("cursor")
        self.cursor = Cursor.decode(parameter, self.ordering) if parameter else None

    @property
    def backwards(self) -> bool:
        """Whether the page lies before the cursor's place."""
        return self.cursor is not None and self.cursor.direction == Direction.PREV

    def page(self, size: int) -> Page:
        """Return a page of at most so many rows."""
        return self.listing.page(size, behind=self.cursor.place if self.cursor else None, backwards=self.backwards)

    def all_rows(self) -> Iterator[Model]:
        """Return every row from the cursor's place on, of which a page is in memory at a time.

        Raises:
            BadRequest: the cursor leads backwards.
        """
        if self.backwards:
            raise BadRequest("A cursor of prev leads to a page: add a limit.", "invalid_cursor")
        pages = self.listing.pages(STREAM_PAGE_SIZE, behind=self.cursor.place if self.cursor else None)
        first = next(pages)  # Now, while a failure of the database can still be answered as such.
        return (row for page in chain([first], pages) for row in page.rows)

    def links(self, page: Page) -> str:
        """Return the value of ``Link``."""
        places = {Direction.PREV: self._start(page), Direction.NEXT: page.end}
        if self.backwards:
            places = {Direction.PREV: page.end, Direction.NEXT: self._start(page)}
        addresses = {"first": remove_query_param(self.url, "cursor")}
        for direction, place in places.items():
            if place:
                cursor = Cursor(ordering=self.ordering, direction=direction, place=place)
                addresses[direction] = replace_query_param(self.url, "cursor", cursor.encode())
        return ", ".join(f'<{address}>; rel="{relation}"' for relation, address in addresses.items())

    def _start(self, page: Page) -> Place | None:
        """Return the place that leads back to where the reader came from; None at the list's own start."""
        if not self.cursor:
            return None
        if not page.rows:
            return self.cursor.place
        return self.listing.order.place_of(page.rows[-1 if self.backwards else 0])


def _ordering(request: Request, view: Any) -> str:
    ordering: str = request.query_params.get("ordering") or view.default_ordering
    if ordering.removeprefix("-") not in view.orders:
        names = ", ".join(f"{name}, -{name}" for name in view.orders)
        raise BadRequest(f"ordering must be one of: {names}.", "invalid_ordering")
    return ordering


def _limit(request: Request) -> int:
    parameter = request.query_params.get("limit") or str(DEFAULT_LIMIT)
    if not (parameter.isascii() and parameter.isdigit() and len(parameter) < 10 and 1 <= int(parameter) <= MAX_LIMIT):
        raise BadRequest(f"limit must be a whole number from 1 to {MAX_LIMIT}.", "invalid_limit")
    return int(parameter)
