"""Read chosen rows by pages; a cursor, which a page's links carry, tells where to read on."""

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
from logs.reading.pages import MAX_PRIMARY_KEY, Listing, Order, Page, Place

STREAM_PAGE_SIZE = 2_000
LATELY = timedelta(minutes=10)
EPOCH = datetime.fromtimestamp(0, UTC)
INVALID_CURSOR = "Invalid cursor: use one from a link of the same list and ordering."


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
            InvalidQuery: it was not.
        """
        try:
            text = urlsafe_b64decode(parameter.encode() + b"=" * (-len(parameter) % 4)).decode()
            its_ordering, direction, number, pk = text.split(" ")
            is_moment = ordering.removeprefix("-") != "duration"
            key = EPOCH + timedelta(microseconds=int(number)) if is_moment else float(number)
            cursor = cls(ordering=its_ordering, direction=Direction(direction), place=Place(key=key, pk=int(pk)))
        except (ValueError, OverflowError) as error:
            raise InvalidQuery(INVALID_CURSOR, "invalid_cursor") from error
        is_number = is_moment or math.isfinite(cursor.place.key)
        if its_ordering != ordering or not is_number or not 0 <= cursor.place.pk <= MAX_PRIMARY_KEY:
            raise InvalidQuery(INVALID_CURSOR, "invalid_cursor")
        return cursor


class Reading:
    """What is read: the rows that a filter set chooses, in an order, from a place.

    Args:
        filterset: a valid one.
        orders: the orders that there are, by name.
        ordering: the name of one, with a minus before it for the greatest first.
        cursor: as encoded; ``""`` reads from the start.

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
        self.cursor = Cursor.decode(cursor, ordering) if cursor else None
        filterset.reads_few = self._reads_what_came_lately()
        self.listing = Listing(
            rows=filterset.qs,
            order=order,
            descending=ordering.startswith("-"),
            scan=filterset.scan(order.column),
        )

    @property
    def backwards(self) -> bool:
        """Whether the page lies before the cursor's place."""
        return self.cursor is not None and self.cursor.direction == Direction.PREV

    def page(self, size: int) -> Page:
        """Return a page of at most so many rows."""
        return self.listing.page(size, behind=self._place, backwards=self.backwards)

    def all_rows(self) -> Iterator[Model]:
        """Return every row from the cursor's place on, of which a page is in memory at a time."""
        pages = self.listing.pages(STREAM_PAGE_SIZE, behind=self._place)
        first = next(pages)  # Now, while a failure of the database can still be answered as such.
        return (row for page in chain([first], pages) for row in page.rows)

    def neighbours(self, page: Page) -> dict[Direction, str]:
        """Return the encoded cursors of the pages before and behind a page of this reading, where there are some."""
        places = {Direction.PREV: self._start(page), Direction.NEXT: page.end}
        if self.backwards:
            places = {Direction.PREV: page.end, Direction.NEXT: self._start(page)}
        return {direction: self.cursor_to(place, direction) for direction, place in places.items() if place}

    def cursor_to(self, place: Place, direction: Direction) -> str:
        """Return the encoded cursor of the page that lies before or behind a place."""
        return Cursor(ordering=self.ordering, direction=direction, place=place).encode()

    @property
    def _place(self) -> Place | None:
        return self.cursor.place if self.cursor else None

    def _reads_what_came_lately(self) -> bool:
        """Tell whether all rows that there are from the cursor's place on came within minutes."""
        if self.ordering != "-received_at" or self.cursor is None or not self.backwards:
            return False
        return bool(self.cursor.place.key >= timezone.now() - LATELY)

    def _start(self, page: Page) -> Place | None:
        """Return the place that leads back to where the reader came from; None at the list's own start."""
        if not self.cursor:
            return None
        if not page.rows:
            return self.cursor.place
        return self.listing.order.place_of(page.rows[-1 if self.backwards else 0])
