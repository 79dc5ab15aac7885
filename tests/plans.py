"""Assert how little a database reads for an answer."""

import re

from django.db import connection


def analyze():
    """Have the database look at what it holds, or PostgreSQL may plan for the rows of other tests."""
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def vacuum():
    """Do so, and remove from the indexes what other tests have rolled back: PostgreSQL counts it as read."""
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE" if connection.vendor == "postgresql" else "ANALYZE")


def assert_reads_little(sql, index, *, is_range=False, most=1_000):
    """Assert that a statement is read from an index, on SQLite from this one, and looks at no more rows than `most`.

    With `is_range`, from a place in it on.
    """
    assert "OFFSET" not in sql
    assert "DISTINCT" not in sql
    if connection.vendor == "sqlite":
        _assert_index_of_sqlite(sql, index, is_range)
    else:
        _assert_few_rows_of_postgresql(sql, most)


def plan_of(sql):
    """Return how the database would read a statement, as text, which names the indexes."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {'QUERY PLAN ' if connection.vendor == 'sqlite' else ''}{sql}")
        return "\n".join(str(line) for *_, line in cursor.fetchall())


def _assert_index_of_sqlite(sql, index, is_range):
    """SQLite does what it plans: it reads that index from a place on, and no table without one."""
    lines = plan_of(sql).splitlines()
    reads = [line for line in lines if line.startswith(("SCAN logs", "SEARCH logs", "SCAN T", "SEARCH T"))]
    assert reads, lines
    reads = [line for line in reads if "_search" not in line] or reads  # The list of rows that hold words.
    if index == "event_search":
        assert reads == ["SCAN logs_workflowevent_search VIRTUAL TABLE INDEX 0:M5"], lines
        return
    for line in reads:
        assert re.search(rf"USING (COVERING INDEX |INDEX )?{index}\b", line), lines
        assert line.startswith("SEARCH") or not is_range, lines


def _assert_few_rows_of_postgresql(sql, most):
    """PostgreSQL weighs what the log holds; whichever index it takes, it looks at few rows.

    It would rather read a table as small as a test's from end to end, so that choice is taken from it.
    """
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}")
        ((plans,),) = cursor.fetchall()
    nodes = list(_nodes_of(plans[0]["Plan"]))
    assert "Seq Scan" not in {node["Node Type"] for node in nodes}, plans
    read = sum(
        (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
        for node in nodes
        if "Plans" not in node
    )
    assert read <= most, plans


def _nodes_of(plan):
    yield plan
    for child in plan.get("Plans", []):
        yield from _nodes_of(child)
