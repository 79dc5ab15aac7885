"""Find a column's values and a table's approximate size without reading the whole table."""

from dataclasses import dataclass

from django.db import connection
from django.db.models import Model

from logs.models.events import LAST_CHARACTER
from logs.reading.patterns import ANY, cases_of, expression, operator
from logs.replica import reading_connection

# A loose index scan: the index leads from each value directly to the next one. DISTINCT would read all rows.
# https://wiki.postgresql.org/wiki/Loose_indexscan (read 2026-11-23)
_VALUES = """
WITH RECURSIVE found (value, number) AS (
    SELECT (SELECT MIN({column}) FROM {table} WHERE {column} <> ''), 1
    UNION ALL
    SELECT (SELECT MIN({column}) FROM {table} WHERE {column} > found.value), number + 1
    FROM found WHERE value IS NOT NULL AND number < %(most)s
)
SELECT value FROM found WHERE value IS NOT NULL
"""

# Whether the database sorts text by a language's rules instead of by code point.
SORTED_BY_LANGUAGE = "'a' < 'B'"

# A loose index scan from each start to its end. SQLite, and PostgreSQL in the locale C, sort by code point: the scans
# start at the spellings of the prefix, which are found letter by letter, in the cases that the index contains.
# Other locales compare letters before case and punctuation: a single scan reads all spellings of a text, but with a
# prefix it must go on to the last value, because other values may be sorted between those with the prefix.
_MATCHING = """
WITH RECURSIVE letters (position, letter) AS (VALUES {letters}),
starts (length, value, ending) AS (
    SELECT CASE WHEN {by_language} THEN %(length)s ELSE 0 END,
        CASE WHEN NOT {by_language} THEN '' WHEN %(lower)s < %(upper)s THEN %(lower)s ELSE %(upper)s END,
        CASE WHEN NOT {by_language} THEN %(rest)s
            WHEN %(rest)s <> '' THEN (SELECT MAX({column}) FROM {table})
            WHEN %(lower)s < %(upper)s THEN %(upper)s ELSE %(lower)s END
    UNION ALL
    SELECT length + 1, value || letter, value || letter || %(rest)s
    FROM starts JOIN letters ON position = length + 1
    WHERE substr((SELECT MIN({column}) FROM {table} WHERE {column} >= value || letter), 1, length + 1)
        = value || letter
),
found (value, ending, number) AS (
    SELECT (SELECT MIN({column}) FROM {table} WHERE {column} >= starts.value), ending, 1
    FROM starts WHERE length = %(length)s
    UNION ALL
    SELECT (SELECT MIN({column}) FROM {table} WHERE {column} > found.value), ending, number + 1
    FROM found WHERE value < ending AND number < %(most)s
)
SELECT value, value {operator} %(pattern)s, number FROM found
WHERE value <= ending AND (value {operator} %(pattern)s OR number = %(most)s) ORDER BY value
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The values of a column that match a pattern."""

    values: list[str]  # In the database's order.
    is_cut: bool  # Whether there may be more.


def values_of(model: type[Model], column: str, *, most: int) -> list[str]:
    """Return the first values, in the database's order, of a text column that comes first in an index."""
    with reading_connection().cursor() as cursor:
        cursor.execute(_VALUES.format(**_names(model, column)), {"most": most})
        return [value for (value,) in cursor.fetchall()]


def values_matching(model: type[Model], column: str, pattern: str, *, most: int) -> Found:
    """Return the values that match a pattern, of a text column that comes first in an index.

    Args:
        model: the table's model.
        column: the column's name.
        pattern: a pattern, as in `logs.reading.patterns`.
        most: the maximum number of values to read for a spelling of the text before the pattern's first ``*``.
    """
    prefix, has_any, _rest = pattern.partition(ANY)
    cases = [cases_of(letter) for letter in prefix]
    letters = [(position, case) for position, each in enumerate(cases, start=1) for case in each]
    rows = [f"({position}, %(letter_{number})s)" for number, (position, _) in enumerate(letters)]
    parameters: dict[str, str | int] = {
        "length": len(prefix),
        "lower": "".join(each[0] for each in cases),
        "upper": "".join(each[-1] for each in cases),
        "rest": LAST_CHARACTER if has_any else "",
        "most": most,
        "pattern": expression(pattern),
        **{f"letter_{number}": letter for number, (_, letter) in enumerate(letters)},
    }
    sql = _MATCHING.format(
        letters=", ".join(rows or ["(0, '')"]),
        by_language=SORTED_BY_LANGUAGE,
        operator=operator(),
        **_names(model, column),
    )
    with reading_connection().cursor() as cursor:
        cursor.execute(sql, parameters)
        found = cursor.fetchall()
    return Found(
        values=[value for value, is_match, _ in found if is_match], is_cut=any(number == most for *_, number in found)
    )


def _names(model: type[Model], column: str) -> dict[str, str]:
    quote = connection.ops.quote_name
    return {"column": quote(column), "table": quote(model._meta.db_table)}


def about_how_many(model: type[Model]) -> int:
    """Return the approximate number of rows: PostgreSQL's estimate, or the span of the primary keys."""
    if connection.vendor == "postgresql":
        with reading_connection().cursor() as cursor:
            cursor.execute("SELECT reltuples::bigint FROM pg_class WHERE oid = %s::regclass", [model._meta.db_table])
            (estimate,) = cursor.fetchone()
        if estimate >= 0:  # It is -1 before the first ANALYZE.
            return int(estimate)
    keys = model._default_manager.values_list("pk", flat=True)
    # Two queries: a single query for both keys would make SQLite read a whole index.
    first, last = keys.order_by("pk").first(), keys.order_by("-pk").first()
    return 0 if first is None or last is None else last - first + 1
