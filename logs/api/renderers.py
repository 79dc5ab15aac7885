"""Write rows as CSV or JSON lines, one at a time: memory use does not depend on their number."""

import csv
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from rest_framework.renderers import BaseRenderer

Objects = Iterable[dict[str, Any]]

# A cell that begins with a sign is a formula. Some spreadsheets drop blanks or quotes before the sign, and some treat
# full-width and small variants as the plain signs.
SIGN = "[=+\\-@＝＋－＠﹦﹢﹣﹫\u2212]"
BLANKS = ' \u00a0\u1680\u2000-\u200b\u202f\u205f\u2060\u3000\ufeff"'
# If the locale's separator is not the comma, quotes in the middle of a line have no effect, and a cell begins after
# each of these characters.
SEPARATORS = r";|،؛；\0-\x1f\x7f-\x9f\u2028\u2029"
SEPARATOR = re.compile(f"[{SEPARATORS}]")
SKIPPED = f"{SEPARATORS}{BLANKS}"
FORMULA = re.compile(rf"[{SKIPPED}]*{SIGN}|[\t\r\n]")
# The look-behind keeps the time linear: a match can start only at the beginning of a run of these characters.
FORMULA_INSIDE = re.compile(rf"(?<![{SKIPPED}])([{SKIPPED}]*[{SEPARATORS}][{BLANKS}]*+)(?={SIGN})")


class LinesRenderer(BaseRenderer):
    """Writes one object per line; the view's ``columns`` are the names of its fields."""

    charset = "utf-8"

    def lines(self, objects: Objects, columns: list[str]) -> Iterator[str]:
        """Yield the lines with their line endings."""
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
        # ASCII, because some clients also split lines at Unicode's line separators.
        return (json.dumps(each) + "\n" for each in objects)


class CSVRenderer(LinesRenderer):
    """Writes comma-separated values (RFC 4180) after a header line; missing values are empty.

    Text that a spreadsheet would read as a formula is prefixed with an apostrophe, as OWASP advises. If the locale's
    separator is not a comma, parts of the text become separate cells; such cells are prefixed, too.
    Source: https://owasp.org/www-community/attacks/CSV_Injection (read 2026-11-23).
    """

    media_type = "text/csv"
    format = "csv"
    has_bom = False  # Whether to begin with a byte order mark; without one, Excel does not recognise UTF-8.

    def lines(self, objects: Objects, columns: list[str]) -> Iterator[str]:
        """Yield the header line and a line for each object."""
        writer = csv.writer(_Echo())
        yield ("\ufeff" if self.has_bom else "") + writer.writerow(columns)
        for each in objects:
            yield writer.writerow([_cell(each[name]) for name in columns])


class _Echo:
    """A file-like object whose ``write`` returns the text."""

    def write(self, line: str) -> str:
        return line


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        value = json.dumps(value, ensure_ascii=False)
    return _harmless(value) if isinstance(value, str) else value


def _harmless(text: str) -> str:
    # Few texts contain a separator. Searching every text for formulas after one would double the time of an export.
    safe = FORMULA_INSIDE.sub(r"\1'", text) if SEPARATOR.search(text) else text
    return f"'{safe}" if FORMULA.match(safe) else safe
