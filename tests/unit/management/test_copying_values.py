"""Values that two databases store in different ways, and yet are equal; and those that only one of them stores."""

from datetime import UTC, datetime

import pytest

from logs.management.copying.tables import LEFT_OUT, tables
from logs.management.copying.values import Checker, Reader, Unreadable, digest, kind_of, stored_field

BY_NAME = {table.name: table for table in tables()}


def row_of(table, **values):
    return [values.get(field.column) for field in BY_NAME[table].fields]


def read(table, **values):
    """Return a value as the copy has it."""
    ((column, _),) = values.items()
    row = Reader(BY_NAME[table]).read(row_of(table, **values))
    return row[[field.column for field in BY_NAME[table].fields].index(column)]


def problems(table, **values):
    return [problem.partition(": ")[2] for problem in Checker(BY_NAME[table]).problems([row_of(table, **values)])]


@pytest.mark.parametrize(
    ("sqlite", "postgresql"),
    [
        ('{"b": 1, "a": 2}', '{"a": 2, "b": 1}'),
        ("[1e2]", "[100]"),
        ("[100.0]", "[100]"),
        ("[1E-7]", "[0.0000001]"),
        ('["\\u00e4"]', '["ä"]'),
        ('{"a": 1, "a": 2}', '{"a": 2}'),
    ],
)
def test_json_is_equal_in_both_spellings(sqlite, postgresql):
    assert read("logs_delivery", headers=sqlite) == read("logs_delivery", headers=postgresql)


def test_json_that_differs_is_not_equal():
    assert read("logs_delivery", headers="[1]") != read("logs_delivery", headers="[1.5]")


@pytest.mark.parametrize(
    ("table", "column", "sqlite", "postgresql"),
    [
        ("logs_delivery", "received_at", "2026-05-04 12:00:00", datetime(2026, 5, 4, 12, tzinfo=UTC)),
        ("logs_delivery", "received_at", "2026-05-04 12:00:00.000001", datetime(2026, 5, 4, 12, 0, 0, 1, tzinfo=UTC)),
        ("logs_delivery", "verified", 1, True),
        ("logs_delivery", "client_address", "::ffff:192.0.2.7", "::ffff:192.0.2.7"),
        ("logs_delivery", "client_address", "2001:db8::1", "2001:db8:0::1"),
    ],
)
def test_values_are_equal_in_both_forms(table, column, sqlite, postgresql):
    one, other = read(table, **{column: sqlite}), read(table, **{column: postgresql})
    assert digest([[one]]) == digest([[other]])


@pytest.mark.parametrize(
    ("column", "value", "problem"),
    [
        ("reason", "a\0", "contains a NUL character ('a\\x00')"),
        ("headers", '["\\u0000"]', "contains a NUL character ('[\"\\\\u0000\"]')"),
        ("headers", '["\\ud800"]', "is not valid Unicode ('[\"\\\\ud800\"]')"),
        ("outcome", "x" * 21, "has 21 characters, at most 20 are accepted ('xxxxxxxxxxxxxxxxxxxxx')"),
        ("response_status", 40_000, "must be from -32768 to 32767 (40000)"),
        ("body_length", -1, "must be from 0 to 2147483647 (-1)"),
        ("response_seconds", float("nan"), "must be a number (nan)"),
        ("body", "text", "must be bytes ('text')"),
        ("received_at", Unreadable("noon"), "must be a time ('noon')"),
        ("headers", Unreadable("{"), "must be JSON ('{')"),
        ("id", "one", "must be a whole number ('one')"),
    ],
)
def test_names_what_postgresql_would_reject(column, value, problem):
    assert problems("logs_delivery", **{column: value}) == [problem]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("reason", "ä\n\x01" * 1000),
        ("headers", '["\\\\u0000 is text", "\\ud83c\\udf4e is an apple"]'),
        ("outcome", "x" * 20),
        ("response_status", 32_767),
        ("id", 2**63 - 1),
        ("event_id", None),
    ],
)
def test_accepts_what_postgresql_accepts(column, value):
    assert problems("logs_delivery", **{column: value}) == []


@pytest.mark.parametrize(
    ("column", "value"),
    [("received_at", "noon"), ("verified", 2), ("headers", "{"), ("headers", "[NaN]"), ("headers", "[1e999]")],
)
def test_a_value_that_is_not_of_its_column_is_never_replaced(column, value):
    assert read("logs_delivery", **{column: value}) == Unreadable(value)


@pytest.mark.parametrize("table", tables(), ids=lambda table: table.label)
def test_all_columns_are_of_a_known_kind(table):
    assert [kind_of(stored_field(field)) for field in table.fields]


def test_all_tables_but_the_sessions_are_copied():
    assert [*LEFT_OUT] == ["sessions.Session"]
    assert {"logs_delivery", "logs_rule_channels", "auth_user_groups", "django_admin_log"} <= BY_NAME.keys()
