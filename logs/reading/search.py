"""Full-text search over events, with PostgreSQL's GIN index or SQLite's FTS5; migration 0003 creates both.

Both indexes split text into words at spaces. Words in scripts that are written without spaces are therefore
matched as substrings, without an index. The last word may be the start of a longer one, as while a user types.
"""

import re
from collections.abc import Sequence
from itertools import chain
from typing import Any
from unicodedata import normalize

from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import BooleanField, F, Func
from django.db.models.sql.compiler import SQLCompiler

from logs.replica import reading_connection

SEARCHED_COLUMNS = ("commit_subject", "branch", "author", "workflow", "job")
FEW = 2_000
# PostgreSQL's index returns a word's first row only after reading all rows with the word. If more rows than this are
# expected, the index is not used. If the estimate is wrong, a search or a page takes longer. For a word that is missing
# from its statistics, PostgreSQL expects about 0.04 % of the log's rows: fewer than this up to 20,000,000 events.
MANY = 4 * FEW
MIN_START_LENGTH = 3  # Too many words start with the same one or two letters.

# As in the index. By default, PostgreSQL reads "feature/login" as a path and "v1.2" as a host, each a single word.
POSTGRESQL_WORDS = "to_tsvector('simple', translate({}, '_-/.:@#+~=&', '           ')) @@ to_tsquery('simple', %s)"
PATTERN = "'%%' || lower(%s) || '%%'"
SQLITE_ROWIDS = "SELECT rowid FROM logs_workflowevent_search WHERE logs_workflowevent_search MATCH %s"

# Thai, Lao, Tibetan, Burmese, Khmer, Tai, Chinese and Japanese, including half-width forms. Korean has spaces, but its
# words end in particles: a search for a noun must find it with any particle.
SPACELESS = (
    r"\u0e00-\u109f\u1780-\u17ff\u1950-\u19ff\u1a20-\u1aaf\u1100-\u11ff\u2e80-\u2fdf\u3005-\u3007\u3021-\u3035"
    r"\u303b\u303c\u3041-\u30fa\u30fc-\u31ff\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97f\ua9e0-\ua9ff\uaa60-\uaadf"
    r"\uac00-\ud7ff\uf900-\ufaff\uff66-\uffdc\U0001aff0-\U0001b16f\U00020000-\U0003ffff"
)
_SPACELESS = re.compile(f"[{SPACELESS}]")
# In some of these scripts, vowels are marks, which `\w` does not match.
_WORD = re.compile(rf"[{SPACELESS}]+|(?:(?![{SPACELESS}])[^\W_])+")
_HALF_WIDTH = {ord(normalize("NFKC", chr(code))): code for code in range(0xFF66, 0xFFA0)}


def words_of(text: str) -> list[str]:
    """Return a text's distinct words; distinct because a page tests each row for every word.

    A word is a run of letters and digits, or a run of characters from scripts written without spaces.
    """
    return list({word.lower(): word for word in _WORD.findall(text)}.values())


def are_spaceless(words: Sequence[str]) -> bool:
    """Return whether any word is in a script written without spaces; if so, all words are matched as substrings."""
    return any(map(_SPACELESS.search, words))


def spellings_of(word: str) -> list[str]:
    """Return the Unicode spellings of a word: as given, composed, decomposed, half-width, and in each case variant."""
    composed = normalize("NFKC", word)
    decomposed = normalize("NFD", composed)
    # SQLite's LIKE ignores case only in ASCII.
    cases = [] if composed.isascii() else [composed.lower(), composed.upper(), composed.capitalize()]
    return list(dict.fromkeys([word, composed, decomposed, decomposed.translate(_HALF_WIDTH), *cases]))


def few_holding(words: Sequence[str]) -> list[int] | None:
    """Return the primary keys of the events that contain all the words, or words that start with the last one.

    Return None if there are more than `FEW` events, or if no index can find them.
    """
    if are_spaceless(words):
        return None
    if connection.vendor == "sqlite":
        return _few_keys(SQLITE_ROWIDS, _sqlite_query(words))
    condition = POSTGRESQL_WORDS.format(_joined(SEARCHED_COLUMNS))
    sql, query = f"SELECT id FROM logs_workflowevent WHERE {condition}", _postgresql_query(words)  # noqa: S608 - names of ours
    return None if _estimated_rows(sql, query) > MANY else _few_keys(sql, query)


def _few_keys(sql: str, query: str) -> list[int] | None:
    with reading_connection().cursor() as cursor:
        cursor.execute(f"{sql} LIMIT {FEW + 1}", [query])
        found = [key for (key,) in cursor.fetchall()]
    return found if len(found) <= FEW else None


def _estimated_rows(sql: str, query: str) -> int:
    """Return PostgreSQL's estimate of the number of rows, accurate enough to tell few from very many."""
    with reading_connection().cursor() as cursor:
        cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}", [query])
        ((explained,),) = cursor.fetchone()
    return int(explained["Plan"]["Plan Rows"])


class HoldsWords(Func):
    """Whether an event's searched columns together contain all the words, as in `few_holding`, ignoring case.

    Use this condition, which ignores the word index, if many events match or another condition finds the events.
    """

    output_field = BooleanField()

    def __init__(self, words: Sequence[str]) -> None:
        super().__init__(F("pk"), *map(F, SEARCHED_COLUMNS))
        self.words = words

    def as_sql(  # type: ignore[override]  # Func's further arguments name functions and templates.
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **context: Any
    ) -> tuple[str, list[Any]]:
        """Return the condition for PostgreSQL."""
        text = self._text(compiler)
        if are_spaceless(self.words):
            return self._holds_parts(text)
        # LIKE first: splitting a row into words costs ten times as much. ALL changes a row's case only once.
        letters = f"lower({text}) LIKE ALL (ARRAY[{', '.join([PATTERN] * len(self.words))}])"
        # IS TRUE keeps PostgreSQL from using the index, which reads all of a word's rows before it returns one.
        return f"{letters} AND ({POSTGRESQL_WORDS.format(text)}) IS TRUE", [*self.words, _postgresql_query(self.words)]

    def as_sqlite(  # type: ignore[override]
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **context: Any
    ) -> tuple[str, list[Any]]:
        """Return the condition for SQLite."""
        if are_spaceless(self.words):
            return self._holds_parts(self._text(compiler))
        key, _ = compiler.compile(self.source_expressions[0])
        # Without the plus sign, SQLite would read all rows of the list and sort them.
        return f"+{key} IN ({SQLITE_ROWIDS})", [_sqlite_query(self.words)]

    def _text(self, compiler: SQLCompiler) -> str:
        return _joined([compiler.compile(column)[0] for column in self.source_expressions[1:]])

    def _holds_parts(self, text: str) -> tuple[str, list[Any]]:
        spellings = [spellings_of(word) for word in self.words]
        condition = f"lower({text}) LIKE {PATTERN}"
        conditions = [f"({' OR '.join([condition] * len(each))})" for each in spellings]
        return " AND ".join(conditions), list(chain.from_iterable(spellings))


def _joined(columns: Sequence[str]) -> str:
    return " || ' ' || ".join(columns)


def _sqlite_query(words: Sequence[str]) -> str:
    return " ".join(f'"{word}"' for word in words) + ("*" if _is_start(words[-1]) else "")


def _postgresql_query(words: Sequence[str]) -> str:
    return " & ".join(f"'{word}'" for word in words) + (":*" if _is_start(words[-1]) else "")


def _is_start(word: str) -> bool:
    return len(word) >= MIN_START_LENGTH
