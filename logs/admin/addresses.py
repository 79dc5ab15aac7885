"""The query of an address, changed for a link."""

from django.http import QueryDict


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
