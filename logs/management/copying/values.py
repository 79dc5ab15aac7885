"""Values as both databases store them: read in one form, checked before anything is written, and digested."""

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from django.db import models
from django.db.backends.base.operations import BaseDatabaseOperations
from django.utils.ipv6 import clean_ipv6_address

from logs.management.copying.tables import Row, Table, stored_field

MAX_SHOWN_LENGTH = 40
# PostgreSQL's; SQLite has no limits of its own.
INTEGER_RANGES: dict[str, tuple[int, int]] = {**BaseDatabaseOperations.integer_field_ranges}
BOOLEAN_RANGE = (0, 1)
_SURROGATE = re.compile("[\ud800-\udfff]")
_NUL_IN_JSON = re.compile(r"(?<!\\)(\\\\)*\\u0000")
# fmt: off
# Each kind of field: the type of its values, and their name in messages.
KINDS: list[tuple[type["models.Field[Any, Any]"], type, str]] = [
    (models.BooleanField,          bool,     "true or false"),
    (models.BinaryField,           bytes,    "bytes"),
    (models.DateTimeField,         datetime, "a time"),
    (models.FloatField,            float,    "a number"),
    (models.IntegerField,          int,      "a whole number"),
    (models.JSONField,             str,      "JSON"),
    (models.CharField,             str,      "text"),
    (models.TextField,             str,      "text"),
    (models.GenericIPAddressField, str,      "an IP address"),
]
# fmt: on


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A value that is not of its column's type; SQLite stores any value in any column."""

    value: Any


class Reader:
    """Converts a table's rows from a driver's values to those that both databases have in common."""

    def __init__(self, table: Table) -> None:
        kinds = [stored_field(field).get_internal_type() for field in table.fields]
        converters = [(index, _CONVERTERS.get(kind)) for index, kind in enumerate(kinds)]
        self._converters = [(index, convert) for index, convert in converters if convert]

    def read(self, values: Iterable[Any]) -> Row:
        """Return a row; a value that cannot be converted becomes an `Unreadable`."""
        row = list(values)
        for index, convert in self._converters:
            if row[index] is not None:
                try:
                    row[index] = convert(row[index])
                except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
                    row[index] = Unreadable(row[index])
        return row


def _time(value: Any) -> datetime:
    """Return a time in UTC; SQLite stores it as text, in UTC unless another program has added an offset."""
    if isinstance(value, datetime):
        return value
    time = datetime.fromisoformat(value)
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)


def _json(text: str) -> str:
    """Return JSON with its keys in order and its numbers in one spelling; PostgreSQL reorders and respells them."""
    return json.dumps(json.loads(text, parse_float=_number), sort_keys=True, allow_nan=False)


def _number(text: str) -> float:
    number = float(text)
    return int(number) if number.is_integer() else number


def _ip_address(text: str) -> str:
    """Return an IP address as Django writes it; PostgreSQL accepts no IPv6 zone."""
    if ":" not in text:
        return str(IPv4Address(text))
    if "%" in text:
        raise ValueError("zone")
    return clean_ipv6_address(str(IPv6Address(text)))


# fmt: off
_CONVERTERS: dict[str, Callable[[Any], Any]] = {
    "BooleanField":          {0: False, 1: True}.__getitem__,
    "DateTimeField":         _time,
    "GenericIPAddressField": _ip_address,
    "JSONField":             _json,
}
# fmt: on


def digest(rows: list[Row]) -> bytes:
    """Return a checksum of some rows of a table; equal rows have equal checksums on both databases."""
    checksum = sha256()
    for row in rows:  # One by one: the texts of all rows would need much memory.
        checksum.update(repr(row).encode())
    return checksum.digest()


class Checker:
    """Finds the values of a table's rows that PostgreSQL would reject.

    SQLite stores them: it does not limit the length of text or the size of numbers, and allows NUL characters.
    """

    def __init__(self, table: Table) -> None:
        self._checks = [(index, field, _check(stored_field(field))) for index, field in enumerate(table.fields)]
        self._table = table

    def problems(self, rows: Iterable[Row]) -> Iterator[str]:
        """Yield a line for each value that cannot be copied."""
        for row in rows:
            for index, field, check in self._checks:
                value = row[index]
                if value is not None and (problem := check(value)):
                    shown = repr(value.value if isinstance(value, Unreadable) else value)[:MAX_SHOWN_LENGTH]
                    yield f"{self._table.name}, key {row[0]!r}, column {field.column}: {problem} ({shown})"


def _check(field: "models.Field[Any, Any]") -> Callable[[Any], str]:
    """Return a function that says what is wrong with a value; "" for nothing."""
    python, name = kind_of(field)
    max_length = field.max_length if isinstance(field, models.CharField) else None
    is_json = isinstance(field, models.JSONField)
    least, most = INTEGER_RANGES.get(field.get_internal_type(), BOOLEAN_RANGE)

    def check(value: Any) -> str:
        if type(value) is not python:
            return f"must be {name}"
        if isinstance(value, str):
            return _problem_of_text(value, max_length, is_json=is_json)
        if isinstance(value, float) and math.isnan(value):
            return "must be a number"
        is_within = not isinstance(value, int) or least <= value <= most
        return "" if is_within else f"must be from {least} to {most}"

    return check


def kind_of(field: "models.Field[Any, Any]") -> tuple[type, str]:
    """Return the type of a field's values, and its name in messages.

    Raises:
        StopIteration: no rule covers fields of this kind; KINDS needs one.
    """
    return next((python, name) for kind, python, name in KINDS if isinstance(field, kind))


def _problem_of_text(text: str, max_length: int | None, *, is_json: bool) -> str:
    if max_length is not None and len(text) > max_length:
        return f"has {len(text)} characters, at most {max_length} are accepted"
    if "\0" in text or (is_json and "\\u0000" in text and _NUL_IN_JSON.search(text)):
        return "contains a NUL character"
    if is_json and "\\ud" in text:  # The first half of a surrogate pair, or a half without the other.
        text = json.dumps(json.loads(text), ensure_ascii=False)
    return "" if text.isascii() or not _SURROGATE.search(text) else "is not valid Unicode"
