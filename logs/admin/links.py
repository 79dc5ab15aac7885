"""Links to the page that is shown, with its query changed: filters that are set by a click."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.http import QueryDict
from django.utils.translation import gettext as _


def without(query: QueryDict, *names: str) -> QueryDict:
    """Return a query without some parameters."""
    rest = query.copy()
    for name in names:
        rest.pop(name, None)
    return rest


def changed(query: QueryDict, **values: str) -> QueryDict:
    """Return a query with some parameters set; the value ``""`` leaves one out."""
    result = without(query, *values)
    for name, value in values.items():
        if value:
            result[name] = value
    return result


def leading(query: QueryDict) -> str:
    """Return a query that one more parameter can be written behind."""
    return f"?{query.urlencode()}&" if query else "?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chip:
    """One choice."""

    label: str
    url: str
    is_chosen: bool


def chips(query: QueryDict, name: str, choices: Mapping[str, str], *, drop: Iterable[str] = ()) -> list[Chip]:
    """Return the choices of a parameter; what was chosen elsewhere is added as one of its own.

    Args:
        query: of the list as it is.
        name: the parameter's.
        choices: labels by value; the value ``""`` leaves the parameter out.
        drop: parameters that a choice leaves out, too.
    """
    given = query.get(name, "")
    all_choices = {**choices, given: choices.get(given, given)}
    return [
        Chip(label=label, url=_address(query, name, value, drop=drop), is_chosen=value == given)
        for value, label in all_choices.items()
    ]


def other_filters(query: QueryDict, *, shown: Iterable[str]) -> list[Chip]:
    """Return the parameters of a list that no field or group of chips shows; each link takes one away."""
    names = [name for name in query if name not in {*shown, "cursor", "ordering"}]
    return [Chip(label=f"{name}: {query[name]}", url=_address(query, name, ""), is_chosen=True) for name in names]


def spans() -> dict[str, str]:
    """Return the lengths of time that lists offer."""
    return {"": _("Any time"), "1h": _("1 hour"), "24h": _("24 hours"), "7d": _("7 days"), "30d": _("30 days")}


def _address(query: QueryDict, name: str, value: str, *, drop: Iterable[str] = ()) -> str:
    return f"?{changed(without(query, 'cursor', *drop), **{name: value}).urlencode()}"
