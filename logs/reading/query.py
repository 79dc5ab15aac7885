"""Read a list's parameters. The API, the admin and the commands report the same error, each in its own format."""

from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from django.db.models import QuerySet
from django.http import QueryDict

from logs.exceptions import InvalidQuery
from logs.reading.cursors import Reading
from logs.reading.filters import PagedFilterSet
from logs.reading.pages import Order, default_ordering

FilterSet = TypeVar("FilterSet", bound=PagedFilterSet)


def check_names(query: QueryDict, *, known: Collection[str], repeatable: Collection[str]) -> None:
    """Reject parameters that would otherwise be ignored: unknown names, and repeated names that do not accept a list.

    Raises:
        InvalidQuery: a parameter is unknown or wrongly repeated.
    """
    for name, values in query.lists():
        if name not in known:
            raise InvalidQuery(
                f"Unknown parameter {name!r}; there are: {', '.join(sorted(known))}.", "unknown_parameter"
            )
        if len(values) > 1 and name not in repeatable:
            raise InvalidQuery(f"{name} is given {len(values)} times; give it once.")


def read_filters(filterset_class: type[FilterSet], query: QueryDict, rows: QuerySet[Any]) -> FilterSet:
    """Return a filter set that applies a query's filters to these rows.

    Raises:
        InvalidQuery: a filter's value is invalid.
    """
    filterset = filterset_class(query, rows)
    if not filterset.is_valid():
        name, messages = next(iter(filterset.errors.items()))
        raise InvalidQuery(f"{name}: {messages[0]}")
    return filterset


def read_list(filterset: PagedFilterSet, orders: Mapping[str, Order]) -> Reading:
    """Return the rows that a query requests, in the order of its ``ordering``, starting at its ``cursor``.

    Args:
        filterset: the result of `read_filters` for the whole query.
        orders: the available orders, by name; the first is the default.

    Raises:
        InvalidQuery: the ordering or the cursor is invalid.
    """
    query = filterset.data
    ordering, cursor = query.get("ordering", default_ordering(orders)), query.get("cursor", "")
    return Reading(filterset, orders=orders, ordering=ordering, cursor=cursor)


def read_whole_number(
    query: QueryDict, name: str, accepted: range, *, default: int, code: str = "invalid_parameter"
) -> int:
    """Return a parameter's value as a whole number.

    Raises:
        InvalidQuery: the value is not a whole number in the accepted range.
    """
    text = query.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) in accepted):
        raise InvalidQuery(f"{name} must be a whole number from {accepted[0]} to {accepted[-1]}.", code)
    return int(text)
