"""Find a column's values and a table's approximate size without reading the whole table."""

from django.db import connection
from django.db.models import Model

# A loose index scan: the index leads from each value directly to the next one. DISTINCT would read all rows.
# https://wiki.postgresql.org/wiki/Loose_indexscan (read 2026-11-23)
_VALUES = """
WITH RECURSIVE found (value, number) AS (
    SELECT (SELECT MIN({column}) FROM {table} WHERE {column} >= %(start)s AND {column} <> ''), 1
    UNION ALL
    SELECT (SELECT MIN({column}) FROM {table} WHERE {column} > found.value), number + 1
    FROM found WHERE value IS NOT NULL AND number < %(most)s
)
SELECT value FROM found WHERE value IS NOT NULL
"""


def values_of(model: type[Model], column: str, *, start: str = "", most: int = 20) -> list[str]:
    """Return the first values, in the database's order, of a text column that comes first in an index.

    Args:
        model: the table's model.
        column: the column's name.
        start: the prefix of the values, case-sensitive.
        most: the maximum number of values to read.
    """
    quote = connection.ops.quote_name
    sql = _VALUES.format(column=quote(column), table=quote(model._meta.db_table))
    with connection.cursor() as cursor:
        cursor.execute(sql, {"start": start, "most": most})
        return [value for (value,) in cursor.fetchall() if value.startswith(start)]


def about_how_many(model: type[Model]) -> int:
    """Return the approximate number of rows: PostgreSQL's estimate, or the span of the primary keys."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT reltuples::bigint FROM pg_class WHERE oid = %s::regclass", [model._meta.db_table])
            (estimate,) = cursor.fetchone()
        if estimate >= 0:  # It is -1 before the first ANALYZE.
            return int(estimate)
    keys = model._default_manager.values_list("pk", flat=True)
    # Two queries: a single query for both keys would make SQLite read a whole index.
    first, last = keys.order_by("pk").first(), keys.order_by("-pk").first()
    return 0 if first is None or last is None else last - first + 1
