"""Patterns for text: any case matches, and ``*`` stands for any text.

The cases of each letter are spelled out, because databases disagree about the case of letters outside ASCII.
"""

import re
from typing import Any

from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import BooleanField, Func
from django.db.models.sql.compiler import SQLCompiler

from logs.models.unindexed import unindexed

ANY = "*"


def cases_of(character: str) -> list[str]:
    """Return a character in its cases, lower case first."""
    cases = dict.fromkeys([character.lower(), character, character.upper()])
    return [case for case in cases if len(case) == 1]  # ß in upper case is SS.


def operator() -> str:
    """Return the database's operator that compares a text with the result of `expression`."""
    return "GLOB" if connection.vendor == "sqlite" else "~"


def expression(pattern: str) -> str:
    """Return a pattern as the database's `operator` expects it."""
    if connection.vendor == "sqlite":
        return "".join(map(_in_glob, pattern))
    return f"^{''.join(map(_in_regex, pattern))}$"


class Matches(Func):
    """Whether a column matches a pattern; tests each row, without the column's index."""

    output_field = BooleanField()

    def __init__(self, column: str, pattern: str) -> None:
        super().__init__(unindexed(column))
        self.pattern = pattern

    def as_sql(  # type: ignore[override]  # Func's further arguments name functions and templates.
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **context: Any
    ) -> tuple[str, list[Any]]:
        """Return the condition."""
        text, parameters = compiler.compile(self.source_expressions[0])
        return f"{text} {operator()} %s", [*parameters, expression(self.pattern)]


def _in_glob(character: str) -> str:
    cases = cases_of(character)
    return f"[{''.join(cases)}]" if len(cases) > 1 or character in "?[" else character


def _in_regex(character: str) -> str:
    cases = cases_of(character)
    if character == ANY:
        return ".*"
    return f"[{''.join(cases)}]" if len(cases) > 1 else re.escape(character)
