"""Read filtered rows page by page. The cursor in a page's link is the position where the linked page starts."""

import math
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import chain
from typing import Self

from django.db.models import Model
from django.utils import timezone

from logs.exceptions import InvalidQuery
from logs.reading.filters import PagedFilterSet
from logs.reading.pages import MAX_PRIMARY_KEY, Listing, Order, Page, Position, default_ordering

STREAM_PAGE_SIZE = 2_000
RECENT = timedelta(minutes=10)
EPOCH = datetime.fromtimestamp(0, UTC)
INVALID_CURSOR = "Invalid cursor: use one from a link of the same list and ordering."


def encode(text: str) -> str:
    """Encode text as an opaque query parameter."""
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode(parameter: str) -> str:
    """Return the text that `encode` turned into a parameter.

    Raises:
        ValueError: the parameter is not base64, or its text is not UTF-8.
    """
    return urlsafe_b64decode(parameter.encode() + b"=" * (-len(parameter) % 4)).decode()


class Direction(StrEnum):
    """The direction of reading; the values are RFC 8288's link relations."""

    NEXT = "next"
    PREV = "prev"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """A position in an ordering, and the direction of reading from it."""

    ordering: str
    direction: Direction
    position: Position

    def encode(self) -> str:
        """Return the cursor as a query parameter."""
        key = self.position.key
        number = (key - EPOCH) // timedelta(microseconds=1) if isinstance(key, datetime) else key
        return encode(f"{self.ordering} {self.direction} {number} {self.position.pk}")

    @classmethod
    def decode(cls, parameter: str, ordering: str) -> Self:
        """Return the cursor that a query parameter holds.

        Raises:
            InvalidQuery: the parameter is not a cursor for this ordering.
        """
        try:
            its_ordering, direction, number, pk = decode(parameter).split(" ")
            is_time = ordering.removeprefix("-") != "duration"
            key = EPOCH + timedelta(microseconds=int(number)) if is_time else float(number)
            position = Position(key=key, pk=int(pk))
            cursor = cls(ordering=its_ordering, direction=Direction(direction), position=position)
        except (ValueError, OverflowError) as error:
            raise InvalidQuery(INVALID_CURSOR, "invalid_cursor") from error
        is_number = is_time or math.isfinite(position.key)
        if its_ordering != ordering or not is_number or not 0 <= position.pk <= MAX_PRIMARY_KEY:
            raise InvalidQuery(INVALID_CURSOR, "invalid_cursor")
        return cursor


class Reading:
    """The rows that a filter set selects, in a given order, starting after a position.

    Args:
        filterset: a valid filter set.
        orders: the available orders, by name; the first is the default.
        ordering: an order's name, prefixed with a minus sign for descending order.
        cursor: an encoded cursor; ``""`` reads from the start.

    Raises:
        InvalidQuery: the ordering is unknown, or the cursor was not issued for it.
    """

    def __init__(
        self, filterset: PagedFilterSet, *, orders: Mapping[str, Order], ordering: str, cursor: str = ""
    ) -> None:
        if ordering.removeprefix("-") not in orders:
            names = ", ".join(f"{name}, -{name}" for name in orders)
            raise InvalidQuery(f"ordering must be one of: {names}.", "invalid_ordering")
        order = orders[ordering.removeprefix("-")]
        self.filterset = filterset
        self.ordering = ordering
        self.is_newest_first = ordering == default_ordering(orders)
        self.cursor = Cursor.decode(cursor, ordering) if cursor else None
        filterset.reads_few = self._reads_recent_rows()
        self.listing = Listing(
            rows=filterset.qs,
            order=order,
            descending=ordering.startswith("-"),
            scan=filterset.scan(in_default_order=order is next(iter(orders.values()))),
        )

    @property
    def backwards(self) -> bool:
        """Whether the page ends before the cursor's position."""
        return self.cursor is not None and self.cursor.direction == Direction.PREV

    def page(self, size: int) -> Page:
        """Return a page of at most `size` rows."""
        return self.listing.page(size, after=self._position, backwards=self.backwards)

    def all_rows(self) -> Iterator[Model]:
        """Return every row after the cursor, with only one page in memory at a time."""
        pages = self.listing.pages(STREAM_PAGE_SIZE, after=self._position)
        first = next(pages)  # Read now: if the database fails, the response can still be an error.
        return (row for page in chain([first], pages) for row in page.rows)

    def neighbours(self, page: Page) -> dict[Direction, str]:
        """Return the encoded cursors for the pages before and after a page, if they exist."""
        positions = {Direction.PREV: self._start(page), Direction.NEXT: page.end}
        if self.backwards:
            positions = {Direction.PREV: page.end, Direction.NEXT: self._start(page)}
        return {direction: self.cursor_to(position, direction) for direction, position in positions.items() if position}

    def around(self, row: Model) -> tuple[Model | None, Model | None]:
        """Return the rows directly before and after a row of the list.

        None if there is none, or if a page from this row on would end before it.
        """
        position = self.listing.order.position_of(row)
        before, after = (self.listing.page(1, after=position, backwards=backwards).rows for backwards in (True, False))
        return next(iter(before), None), next(iter(after), None)

    def cursor_to(self, position: Position, direction: Direction) -> str:
        """Return the encoded cursor for the page before or after a position."""
        return Cursor(ordering=self.ordering, direction=direction, position=position).encode()

    @property
    def _position(self) -> Position | None:
        return self.cursor.position if self.cursor else None

    def _reads_recent_rows(self) -> bool:
        """Return whether only rows from the last few minutes can be read."""
        if not self.is_newest_first or self.cursor is None or not self.backwards:
            return False
        return bool(self.cursor.position.key >= timezone.now() - RECENT)

    def _start(self, page: Page) -> Position | None:
        """Return the position from which the previous page is read; None at the start of the list."""
        if not self.cursor:
            return None
        if not page.rows:
            return self.cursor.position
        return self.listing.order.position_of(page.rows[-1 if self.backwards else 0])
