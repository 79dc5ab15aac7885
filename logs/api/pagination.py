"""Pages by keyset: each starts behind a row, not at a number, so a deep page costs what the first one does."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Self

from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import remove_query_param, replace_query_param
from rest_framework.views import APIView

from logs.api.errors import BadRequest
from logs.models import WorkflowEvent
from logs.models.events import WorkflowEventQuerySet

DEFAULT_LIMIT = 50
MAX_LIMIT = 500
MAX_PRIMARY_KEY = 2**63 - 1
EPOCH = datetime.fromtimestamp(0, UTC)


class InvalidCursor(BadRequest):
    """A cursor that no `Link` header has given."""

    default_detail = "The cursor is not one that a Link header has given."
    default_code = "invalid_cursor"


class Direction(StrEnum):
    """Which way a page lies; the words are those of RFC 8288's relations."""

    NEXT = "next"
    PREV = "prev"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """A place in the newest-first order, and which way to read from it."""

    direction: Direction
    received_at: datetime
    pk: int

    @classmethod
    def at(cls, event: WorkflowEvent, direction: Direction) -> Self:
        """Return the cursor that reads on from an event."""
        return cls(direction=direction, received_at=event.received_at, pk=event.pk)

    def encode(self) -> str:
        """Return the cursor as a query parameter; its inside is no promise to clients."""
        microseconds = (self.received_at - EPOCH) // timedelta(microseconds=1)
        return urlsafe_b64encode(f"{self.direction} {microseconds} {self.pk}".encode()).decode().rstrip("=")

    @classmethod
    def decode(cls, parameter: str) -> Self:
        """Read a cursor that `encode` has made.

        Raises:
            InvalidCursor: it is none of ours.
        """
        try:
            text = urlsafe_b64decode(parameter.encode() + b"=" * (-len(parameter) % 4)).decode()
            direction, microseconds, pk = text.split(" ")
            received_at = EPOCH + timedelta(microseconds=int(microseconds))
            cursor = cls(direction=Direction(direction), received_at=received_at, pk=int(pk))
        except (ValueError, OverflowError) as error:
            raise InvalidCursor from error
        if not 0 <= cursor.pk <= MAX_PRIMARY_KEY:
            raise InvalidCursor
        return cursor


class KeysetPagination(BasePagination):
    """A bare array, newest first, with the addresses of the first, next and previous page in ``Link`` (RFC 8288)."""

    def paginate_queryset(  # type: ignore[override]  # It pages events only.
        self, queryset: WorkflowEventQuerySet, request: Request, view: APIView | None = None
    ) -> list[WorkflowEvent]:
        """Return the events of the page that ``limit`` and ``cursor`` ask for.

        Raises:
            BadRequest: one of the two is not as it must be.
        """
        limit = _limit(request)
        cursor = Cursor.decode(request.query_params["cursor"]) if "cursor" in request.query_params else None
        rows = _read_page(queryset, cursor, limit + 1)
        page, has_more = rows[:limit], len(rows) > limit
        backwards = cursor is not None and cursor.direction == Direction.PREV
        if backwards:
            page.reverse()
        self.links = _links(
            request, page, has_next=has_more or backwards, has_prev=has_more if backwards else bool(cursor)
        )
        return page

    def get_paginated_response(self, data: Any) -> Response:
        """Return the page as it is, with the links in its header."""
        return Response(data, headers={"Link": self.links})


def _limit(request: Request) -> int:
    parameter = request.query_params.get("limit", str(DEFAULT_LIMIT))
    if not (parameter.isascii() and parameter.isdigit() and len(parameter) < 10 and 1 <= int(parameter) <= MAX_LIMIT):
        raise BadRequest(f"limit must be a whole number from 1 to {MAX_LIMIT}.", "invalid_limit")
    return int(parameter)


def _read_page(queryset: WorkflowEventQuerySet, cursor: Cursor | None, count: int) -> list[WorkflowEvent]:
    if cursor is None:
        return list(queryset.newest_first()[:count])
    if cursor.direction == Direction.NEXT:
        return list(queryset.before(cursor.received_at, cursor.pk).newest_first()[:count])
    return list(queryset.after(cursor.received_at, cursor.pk).newest_first().reverse()[:count])


def _links(request: Request, page: list[WorkflowEvent], *, has_next: bool, has_prev: bool) -> str:
    url = request.build_absolute_uri()
    links = {"first": remove_query_param(url, "cursor")}
    if page and has_prev:
        links["prev"] = replace_query_param(url, "cursor", Cursor.at(page[0], Direction.PREV).encode())
    if page and has_next:
        links["next"] = replace_query_param(url, "cursor", Cursor.at(page[-1], Direction.NEXT).encode())
    return ", ".join(f'<{url}>; rel="{relation}"' for relation, url in links.items())
