"""Read sorted rows page by page, at a cost that does not grow with the table.

A page starts after a position (a row's sort key and primary key), not at a row offset. Where no index
leads to the wanted rows, a page scans at most `MAX_SCANNED` rows and ends there, possibly short or empty; the next page
continues after them (ADR 4).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from django.db.models import Count, Expression, F, Max, Min, Model, QuerySet

from logs.models.events import DURATION, HAPPENED_AT
from logs.replica import read_again

MAX_SCANNED = 5_000
MAX_PRIMARY_KEY = 2**63 - 1

SortKey = datetime | float
Rows = QuerySet[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A sort order for rows; the primary key breaks ties."""

    column: str
    key: Expression | F  # The column with a value in place of NULL. An index must hold it before the primary key.
    missing: SortKey | None = None  # The value in place of NULL; less than any other.

    def position_of(self, row: Model) -> "Position":
        """Return a row's position."""
        value = getattr(row, self.column)
        return Position(key=self.missing if value is None else value, pk=row.pk)


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A position in an order."""

    key: Any  # A SortKey.
    pk: int


BY_ARRIVAL = Order(column="received_at", key=F("received_at"))
# fmt: off
EVENT_ORDERS = {
    "received_at": BY_ARRIVAL,
    "happened_at": Order(column="happened_at",      key=HAPPENED_AT, missing=datetime.min.replace(tzinfo=UTC)),
    "duration":    Order(column="duration_seconds", key=DURATION,    missing=-1.0),
}
CHANGE_ORDERS =   {"happened_at": Order(column="happened_at", key=F("happened_at"))}
STANDING_ORDERS = {"last_run_at": Order(column="last_run_at", key=F("last_run_at"))}
# fmt: on


def default_ordering(orders: Mapping[str, Order]) -> str:
    """Return a list's default ordering: the first of its orders, descending."""
    return f"-{next(iter(orders))}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Consecutive rows of a listing, in its order."""

    rows: list[Any]
    end: Position | None  # Where the next page starts, in the direction of reading; None after the last page.


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Sorted rows that are read page by page."""

    rows: Rows
    order: Order
    descending: bool
    scan: Rows | None = None  # A superset of the rows that an index holds in this order; a page scans a bounded number
    # of them. None if `rows` itself is such a set, or small.

    def page(self, size: int, *, after: Position | None = None, backwards: bool = False) -> Page:
        """Return the rows that follow a position.

        Args:
            size: the maximum number of rows.
            after: the position; None starts at the first row, or at the last row when reading backwards.
            backwards: read towards the first row; the page keeps the listing's order.
        """
        descending = self.descending ^ backwards
        following = self._follow(self.rows, after, descending=descending)
        edge = self._edge(after, descending=descending)
        if edge is not None:
            following = following.filter(**{"sort_key__gte" if descending else "sort_key__lte": edge})
        found = list(following[: size + 1])
        rows = found[:size]
        end = None
        if len(found) > size:
            end = self.order.position_of(rows[-1])
        elif edge is not None:
            end = Position(key=edge, pk=0 if descending else MAX_PRIMARY_KEY)
        return Page(rows=rows[::-1] if backwards else rows, end=end)

    def pages(self, size: int, *, after: Position | None = None) -> Iterator[Page]:
        """Yield all pages after a position."""
        page = read_again(partial(self.page, size, after=after))
        yield page
        while page.end:
            page = read_again(partial(self.page, size, after=page.end))
            yield page

    def _follow(self, rows: Rows, after: Position | None, *, descending: bool) -> Rows:
        names = ("-sort_key", "-pk") if descending else ("sort_key", "pk")
        ordered: Rows = rows.alias(sort_key=self.order.key).order_by(*names)
        if after is None:
            return ordered
        # Not a single condition with OR: no database would use OR to start inside an index.
        towards, past = ("lte", "gte") if descending else ("gte", "lte")
        from_here = ordered.filter(**{f"sort_key__{towards}": after.key})
        following: Rows = from_here.exclude(**{"sort_key": after.key, f"pk__{past}": after.pk})
        return following

    def _edge(self, after: Position | None, *, descending: bool) -> SortKey | None:
        """Return the key of the last row that a page may scan; None if it may scan all following rows."""
        if self.scan is None:
            return None
        near = self._follow(self.scan, after, descending=descending).annotate(scanned=self.order.key)
        found = near.values("scanned")[:MAX_SCANNED].aggregate(
            count=Count("scanned"), edge=(Min if descending else Max)("scanned")
        )
        edge: SortKey | None = found["edge"] if found["count"] == MAX_SCANNED else None
        return edge
