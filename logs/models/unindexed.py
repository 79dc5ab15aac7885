"""Keep SQLite from an index that would cost more than it saves."""

from django.db.models import Value
from django.db.models.functions import Coalesce


def unindexed(column: str) -> Coalesce:
    """Return an expression for a text column that no index matches.

    SQLite has no statistics and assumes that an index on the column selects few rows. If the index is not in the
    list's order, SQLite reads all rows with the wanted value and sorts them.
    """
    return Coalesce(column, Value(""))
