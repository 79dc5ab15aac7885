"""Read rows in an order, a page at a time, at a cost that does not grow with the table.

A page starts behind a place, which is a row's key and primary key, not behind a number of rows. Where no index leads
to the wanted rows, a page looks at `MAX_SCANNED` rows at most and ends there, with fewer rows than asked for or none;
the next page goes on behind them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db.models import Count, Expression, F, Max, Min, Model, QuerySet

from logs.models.events import DURATION, HAPPENED_AT

MAX_SCANNED = 5_000
MAX_PRIMARY_KEY = 2**63 - 1

Key = datetime | float
Rows = QuerySet[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What rows are sorted by; their primary key makes the order total."""

    column: str
    key: Expression | F  # The column, with a value in place of NULL. An index must hold it before the primary key.
    missing: Key | None = None  # That value; less than any other.

    def place_of(self, row: Model) -> "Place":
        """Return the place of a row."""
        value = getattr(row, self.column)
        return Place(key=self.missing if value is None else value, pk=row.pk)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A place in an order."""

    key: Any  # A Key.
    pk: int


BY_ARRIVAL = Order(column="received_at", key=F("received_at"))
# fmt: off
EVENT_ORDERS = {
    "received_at": BY_ARRIVAL,
    "happened_at": Order(column="happened_at",      key=HAPPENED_AT, missing=datetime.min.replace(tzinfo=UTC)),
    "duration":    Order(column="duration_seconds", key=DURATION,    missing=-1.0),
}
# fmt: on


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some rows of a listing, in its order."""

    rows: list[Any]
    end: Place | None  # Where to read on, in the direction of reading; None where nothing follows.


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Rows in an order, to be read by pages."""

    rows: Rows
    order: Order
    descending: bool
    scan: Rows | None = None  # Rows that hold the wanted ones and that an index holds in this order; a page
    # searches a bounded number of them. None where `rows` itself is such a selection, or small.

    def page(self, size: int, *, behind: Place | None = None, backwards: bool = False) -> Page:
        """Return the rows that follow a place.

        Args:
            size: the most rows to return.
            behind: where to begin; None begins at the first row, or at the last one when reading backwards.
            backwards: read towards the first row. The page is in the listing's order all the same.
        """
        descending = self.descending ^ backwards
        following = self._follow(self.rows, behind, descending=descending)
        edge = self._edge(behind, descending=descending)
        if edge is not None:
            following = following.filter(**{"key__gte" if descending else "key__lte": edge})
        found = list(following[: size + 1])
        rows = found[:size]
        end = None
        if len(found) > size:
            end = self.order.place_of(rows[-1])
        elif edge is not None:
            end = Place(key=edge, pk=0 if descending else MAX_PRIMARY_KEY)
        return Page(rows=rows[::-1] if backwards else rows, end=end)

    def pages(self, size: int, *, behind: Place | None = None) -> Iterator[Page]:
        """Yield all pages from a place on."""
        page = self.page(size, behind=behind)
        yield page
        while page.end:
            page = self.page(size, behind=page.end)
            yield page

    def _follow(self, rows: Rows, behind: Place | None, *, descending: bool) -> Rows:
        ordered: Rows = rows.alias(key=self.order.key).order_by(*(("-key", "-pk") if descending else ("key", "pk")))
        if behind is None:
            return ordered
        # Not one condition with OR: in that, no database sees a place in an index to start from.
        towards, past = ("lte", "gte") if descending else ("gte", "lte")
        here_and_on = ordered.filter(**{f"key__{towards}": behind.key})
        following: Rows = here_and_on.exclude(**{"key": behind.key, f"pk__{past}": behind.pk})
        return following

    def _edge(self, behind: Place | None, *, descending: bool) -> Key | None:
        """Return the key of the last row that a page may look at; None where it may look at all that follow."""
        if self.scan is None:
            return None
        near = self._follow(self.scan, behind, descending=descending).annotate(place=self.order.key)
        found = near.values("place")[:MAX_SCANNED].aggregate(
            count=Count("place"), edge=(Min if descending else Max)("place")
        )
        edge: Key | None = found["edge"] if found["count"] == MAX_SCANNED else None
        return edge
