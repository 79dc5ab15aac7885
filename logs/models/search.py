"""Full-text search over events: words, by PostgreSQL's GIN index or SQLite's FTS5, which migration 0003 makes."""

import re
from collections.abc import Sequence
from typing import Any

from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import BooleanField, F, Func
from django.db.models.sql.compiler import SQLCompiler

SEARCHED_COLUMNS = ("commit_subject", "branch", "author", "workflow", "job")
FEW = 2_000
# PostgreSQL's index gives the first row of a word only after it has gone through all rows that hold it. Where so many
# are expected, it is not asked. The estimate may be wrong: then a search takes longer or finds a page's rows less soon.
MANY = 20_000

# As the indexes have it. PostgreSQL by itself takes "feature/login" for a path and "v1.2" for a host, each one word.
POSTGRESQL_WORDS = "to_tsvector('simple', translate({}, '_-/.:@#+~=&', '           ')) @@ plainto_tsquery('simple', %s)"
POSTGRESQL_LETTERS = "lower({}) LIKE '%%' || lower(%s) || '%%'"
SQLITE_ROWIDS = "SELECT rowid FROM logs_workflowevent_search WHERE logs_workflowevent_search MATCH %s"

_WORD = re.compile(r"[^\W_]+")


def words_of(text: str) -> list[str]:
    """Return the words of a text, runs of letters and digits, each once: a page asks each row for each of them."""
    return list({word.lower(): word for word in _WORD.findall(text)}.values())


def few_holding(words: Sequence[str]) -> list[int] | None:
    """Return the primary keys of the events that hold each of the words; None where they are more than `FEW`."""
    if connection.vendor == "sqlite":
        return _few_keys(SQLITE_ROWIDS, _sqlite_query(words))
    condition = POSTGRESQL_WORDS.format(_joined(SEARCHED_COLUMNS))
    sql, query = f"SELECT id FROM logs_workflowevent WHERE {condition}", " ".join(words)  # noqa: S608 - names of ours
    return None if _estimated_rows(sql, query) > MANY else _few_keys(sql, query)


def _few_keys(sql: str, query: str) -> list[int] | None:
    with connection.cursor() as cursor:
        cursor.execute(f"{sql} LIMIT {FEW + 1}", [query])
        found = [key for (key,) in cursor.fetchall()]
    return found if len(found) <= FEW else None


def _estimated_rows(sql: str, query: str) -> int:
    """Return how many rows PostgreSQL expects, by its statistics; close enough to tell few from very many."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}", [query])
        ((explained,),) = cursor.fetchone()
    return int(explained["Plan"]["Plan Rows"])


class HoldsWords(Func):
    """Whether an event's searched columns together hold each of some words; case does not matter.

    For events that are many or that something else leads to: no index leads from the words to them.
    """

    output_field = BooleanField()

    def __init__(self, words: Sequence[str]) -> None:
        super().__init__(F("pk"), *map(F, SEARCHED_COLUMNS))
        self.words = words

    def as_sql(  # type: ignore[override]  # Func's further arguments name functions and templates.
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **context: Any
    ) -> tuple[str, list[Any]]:
        """Return the condition for PostgreSQL."""
        text = _joined([compiler.compile(column)[0] for column in self.source_expressions[1:]])
        # The letters first: a row without them need not be taken to pieces, which costs ten times as much.
        # IS TRUE keeps PostgreSQL from the index, which gives a word's first row only after all rows that hold it.
        conditions = [POSTGRESQL_LETTERS] * len(self.words) + [f"({POSTGRESQL_WORDS}) IS TRUE"]
        return " AND ".join(condition.format(text) for condition in conditions), [*self.words, " ".join(self.words)]

    def as_sqlite(  # type: ignore[override]
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **context: Any
    ) -> tuple[str, list[Any]]:
        """Return the condition for SQLite."""
        key, _ = compiler.compile(self.source_expressions[0])
        # Without the plus, SQLite would read all rows of the list, and sort them.
        return f"+{key} IN ({SQLITE_ROWIDS})", [_sqlite_query(self.words)]


def _joined(columns: Sequence[str]) -> str:
    return " || ' ' || ".join(columns)


def _sqlite_query(words: Sequence[str]) -> str:
    return " ".join(f'"{word}"' for word in words)
