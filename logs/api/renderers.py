"""Rows as CSV and as JSON lines, one after the other, so that any number of them needs the same memory."""

import csv
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from rest_framework.renderers import BaseRenderer

Objects = Iterable[dict[str, Any]]

# How a text begins that a spreadsheet takes for a formula; some drop white space first, and some make full-width
# signs plain ones.
FORMULA = re.compile(r"[\s\0\ufeff]*[=+\-@＝＋－＠]|[\t\r\n]")


class LinesRenderer(BaseRenderer):
    """Writes objects one a line; the view tells their names in ``columns``."""

    charset = "utf-8"

    def lines(self, objects: Objects, columns: list[str]) -> Iterator[str]:
        """Yield the lines, each with its end."""
        raise NotImplementedError

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> bytes:
        """Return a page."""
        return "".join(self.lines(data, renderer_context["view"].columns)).encode()


class JSONLinesRenderer(LinesRenderer):
    """Writes JSON objects."""

    media_type = "application/x-ndjson"
    format = "ndjson"

    def lines(self, objects: Objects, columns: list[str]) -> Iterator[str]:
        """Yield a line for each object."""
        # In ASCII, because some clients end a line at each of Unicode's line separators too.
        return (json.dumps(each) + "\n" for each in objects)


class CSVRenderer(LinesRenderer):
    """Writes comma-separated values (RFC 4180) under a line of names; what is missing is empty.

    A text that a spreadsheet would take for a formula gets an apostrophe before it, as OWASP advises.
    Source: https://owasp.org/www-community/attacks/CSV_Injection (read 2026-11-23).
    """

    media_type = "text/csv"
    format = "csv"

    def lines(self, objects: Objects, columns: list[str]) -> Iterator[str]:
        """Yield the line of names and a line for each object."""
        writer = csv.writer(_Echo())
        yield writer.writerow(columns)
        for each in objects:
            yield writer.writerow([_cell(each[name]) for name in columns])


class _Echo:
    """A file that hands back what is written to it."""

    def write(self, line: str) -> str:
        return line


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str) and FORMULA.match(value):
        return f"'{value}"
    return value
