"""Links and buttons that change a page's query, to set a filter with a click."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from django.http import QueryDict
from django.utils.translation import gettext as _

from logs.times import picker_value


def without(query: QueryDict, *names: str) -> QueryDict:
    """Return a query without some parameters."""
    rest = query.copy()
    for name in names:
        rest.pop(name, None)
    return rest


def changed(query: QueryDict, /, **values: str) -> QueryDict:
    """Return a query with some parameters set; the value ``""`` removes a parameter."""
    result = without(query, *values)
    for name, value in values.items():
        if value:
            result[name] = value
    return result


def leading(query: QueryDict) -> str:
    """Return a query string to which one more parameter can be appended."""
    return f"?{query.urlencode()}&" if query else "?"


def to_row(query: QueryDict) -> str:
    """Return the query of a link to a row's page, which that page uses to link back to the list."""
    return f"?{urlencode({'list': query.urlencode()})}" if query else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chip:
    """A filter's choice, as a button of the list's form."""

    label: str
    change: str  # The changed parameters as a query string; an empty value removes a parameter.
    is_chosen: bool


def chips(query: QueryDict, name: str, choices: Mapping[str, str], *, drop: Iterable[str] = ()) -> list[Chip]:
    """Return a parameter's choices, plus its current value if it is not one of them.

    Args:
        query: the list's current query.
        name: the parameter's name.
        choices: labels by value; the value ``""`` removes the parameter.
        drop: other parameters that a choice removes.
    """
    given = query.get(name, "")
    all_choices = {**choices, given: choices.get(given, given)}
    return [
        Chip(label=label, change=urlencode({name: value, **dict.fromkeys(drop, "")}), is_chosen=value == given)
        for value, label in all_choices.items()
    ]


def span_chips(query: QueryDict) -> list[Chip]:
    """Return the ages that lists offer for `received_after`, plus its current value unless the date picker shows it."""
    offered = {"": _("Any time"), "1h": _("1 hour"), "24h": _("24 hours"), "7d": _("7 days"), "30d": _("30 days")}
    found = chips(query, "received_after", offered, drop=["received_before"])
    return found[: len(offered)] if picker_value(query.get("received_after", "")) else found


def other_filters(query: QueryDict, *, shown: Iterable[str]) -> list[Chip]:
    """Return the filters that no field or group of chips shows; each button removes its filter."""
    names = [name for name in query if name not in {*shown, "cursor", "ordering", "received_after", "received_before"}]
    if (before := query.get("received_before", "")) and not picker_value(before):
        names.append("received_before")
    return [Chip(label=f"{name}: {query[name]}", change=urlencode({name: ""}), is_chosen=True) for name in names]
