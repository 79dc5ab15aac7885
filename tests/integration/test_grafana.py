"""The views for Grafana on PostgreSQL: what they show, who may read them, and each statement of the dashboard."""

import json
import re
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.db import ProgrammingError, connection, transaction

from logs.circleci.vocabulary import STATUS_TONES, Tone
from logs.models import StateChange, WorkflowEvent
from tests.plans import analyze, assert_reads_little

pytestmark = pytest.mark.django_db

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "metrics.md").read_text(encoding="utf-8")
DASHBOARD = json.loads((DOCS / "grafana/dashboards/webhooklog-postgresql.json").read_text(encoding="utf-8"))
STATEMENTS = {
    **{panel["title"]: target["rawSql"] for panel in DASHBOARD["panels"] for target in panel["targets"]},
    **{variable["name"]: variable["query"] for variable in DASHBOARD["templating"]["list"]},
    **{annotation["name"]: annotation["target"]["rawSql"] for annotation in DASHBOARD["annotations"]["list"]},
}
VIEWS = {"webhooklog_runs", "webhooklog_changes"}
NOW = datetime(2026, 5, 4, 10, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
BEGIN, END = NOW - timedelta(days=7), NOW
NAMES = {"project": "acme/orchard", "project_slug": "github/acme/orchard", "workflow": "build", "branch": "main"}


@pytest.fixture(autouse=True)
def only_on_postgresql(db):
    if connection.vendor != "postgresql":
        pytest.skip("the views exist on PostgreSQL only")


def add_run(status="success", *, age=HOUR, **columns):
    values = {"event_type": "workflow-completed", "duration_seconds": 60, "verified": True, **NAMES} | columns
    event_id = secrets.token_hex(8)
    return WorkflowEvent.objects.create(event_id=event_id, status=status, received_at=NOW - age, **values)


def add_change(kind, *, age=HOUR, **columns):
    at = NOW - age
    return StateChange.objects.create(kind=kind, happened_at=at, noted_at=at, failures=1, **NAMES | columns)


def query(sql):
    """Return the rows of a statement as dicts."""
    with connection.cursor() as cursor:
        cursor.execute(sql)
        names = [column.name for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def as_grafana_sends(sql):
    """Replace the macros and variables, as Grafana documents them."""
    between = rf"\1 BETWEEN '{BEGIN:%Y-%m-%dT%H:%M:%SZ}' AND '{END:%Y-%m-%dT%H:%M:%SZ}'"
    sql = re.sub(r"\$__timeFilter\((\w+)\)", between, sql)
    group = r'floor(extract(epoch from \1)/3600)*3600 AS "time"'
    sql = re.sub(r"\$__timeGroupAlias\((\w+), *\$__interval\)", group, sql)
    for name in ("project", "workflow", "branch"):
        sql = sql.replace(f"${{{name}:sqlstring}}", f"'{NAMES[name]}','another'")
    assert "$" not in sql, sql
    return sql


@pytest.fixture
def grafana_role(db):
    """Run the documented statements that make a role, and act as this role; the test's end undoes it."""
    role = f"webhooklog_{secrets.token_hex(4)}"
    (statements,) = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
    statements = statements.replace("webhooklog_grafana", role)
    statements = statements.replace("DATABASE webhooklog ", f'DATABASE "{connection.settings_dict["NAME"]}" ')
    with connection.cursor() as cursor:
        cursor.execute(statements)
    return role


@pytest.fixture
def log():
    """A log with runs and changes of a day."""
    for status, seconds in (("success", 60), ("success", 120), ("failed", 300), ("canceled", 5)):
        add_run(status, duration_seconds=seconds)
    add_run("success", age=3 * HOUR)
    add_run("success", age=timedelta(days=8))
    add_run("success", event_type="job-completed", job="test")
    add_change("broke", age=2 * HOUR)
    add_change("fixed", branch="another")
    add_change("broke", branch="another", age=5 * HOUR)


@pytest.mark.parametrize("name", STATEMENTS)
def test_every_statement_of_the_dashboard_runs_as_the_role(log, grafana_role, name):
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL ROLE {grafana_role}")
    rows = query(as_grafana_sends(STATEMENTS[name]))
    assert rows
    assert any(value is not None for value in rows[0].values())


def test_the_figures_of_the_dashboard_are_those_of_the_log(log):
    def value_of(title):
        (row,) = query(as_grafana_sends(STATEMENTS[title]))
        return next(iter(row.values()))

    assert value_of("Runs") == 5
    assert value_of("Median duration") == 90
    rates = query(as_grafana_sends(STATEMENTS["Workflows"]))
    assert [(row["runs"], row["failed"], row["success_rate"]) for row in rates] == [(5, 1, 0.75)]
    broken = query(as_grafana_sends(STATEMENTS["Broken workflows"]))
    assert [(row["workflow"], row["branch"]) for row in broken] == [("build", "main"), ("build", "another")]
    add_change("fixed", branch="another", age=timedelta(0))
    assert [row["branch"] for row in query(as_grafana_sends(STATEMENTS["Broken workflows"]))] == ["main"]
    annotation, *_ = query(as_grafana_sends(STATEMENTS["Changes"]))
    assert annotation["text"] == "fixed: acme/orchard · build on another"


def test_the_role_can_read_the_views_and_nothing_else(grafana_role):
    rights = query(
        f"""
        SELECT relname, has_table_privilege('{grafana_role}', oid, 'SELECT') AS reads,
            has_table_privilege('{grafana_role}', oid, 'INSERT, UPDATE, DELETE, TRUNCATE') AS writes,
            has_any_column_privilege('{grafana_role}', oid, 'SELECT') AS reads_a_column
        FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v', 'm', 'p', 'f')
        """
    )
    assert len(rights) > 20
    assert {row["relname"] for row in rights if row["reads"] or row["reads_a_column"]} == VIEWS
    assert not any(row["writes"] for row in rights)
    allowed = f"has_sequence_privilege('{grafana_role}', seqrelid, 'SELECT, USAGE')"
    assert query(f"SELECT 1 FROM pg_sequence WHERE {allowed}") == []
    assert query(f"SELECT has_schema_privilege('{grafana_role}', 'public', 'CREATE') AS may") == [{"may": False}]


@pytest.mark.parametrize("table", ["logs_workflowevent", "logs_delivery", "logs_statechange", "auth_user"])
def test_a_table_refuses_the_role(grafana_role, table):
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL ROLE {grafana_role}")
    with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
        query(f"SELECT 1 FROM {table}")


def test_a_run_has_the_tone_of_its_status():
    for status in [*STATUS_TONES, "invented", ""]:
        add_run(status)
    for row in query("SELECT status, tone FROM webhooklog_runs"):
        tone = STATUS_TONES.get(row["status"])
        assert row["tone"] == (tone if tone in (Tone.GOOD, Tone.BAD) else None), row["status"]


def test_the_views_show_neither_authors_nor_messages():
    add_run(author="Wilma Quince", commit_subject="Press the apples")
    add_change("broke", author="Wilma Quince", subject="Press the apples", quiet_reason="")
    for view in VIEWS:
        (row,) = query(f"SELECT * FROM {view}")
        assert not {"Wilma Quince", "Press the apples"} & set(row.values())


@pytest.mark.parametrize("view", sorted(VIEWS))
def test_the_page_describes_the_columns_in_their_order(view):
    section = PAGE.partition(f"`{view}` has a row")[2].partition("\n\n`")[0]
    rows = re.findall(r"^\| (`[^|]*) \| (\w[\w ]*) \|", section, re.MULTILINE)
    documented = [(name, kind) for names, kind in rows for name in re.findall(r"`(\w+)`", names)]
    columns = f"FROM information_schema.columns WHERE table_name = '{view}'"
    shown = query(f"SELECT column_name, data_type {columns} ORDER BY ordinal_position")
    short = {"character varying": "text", "timestamp with time zone": "timestamptz"}
    assert documented == [(row["column_name"], short.get(row["data_type"], row["data_type"])) for row in shown]


def test_a_selection_by_time_is_read_from_an_index():
    WorkflowEvent.objects.bulk_create(
        WorkflowEvent(
            event_id=str(number),
            event_type="workflow-completed",
            received_at=NOW - number * HOUR,
            verified=True,
            **NAMES,
        )
        for number in range(5_000)
    )
    StateChange.objects.bulk_create(
        StateChange(kind="broke", event_id=number, happened_at=NOW - number * HOUR, noted_at=NOW, failures=1, **NAMES)
        for number in range(5_000)
    )
    analyze()
    for name in ("Runs", "Changes"):
        assert_reads_little(as_grafana_sends(STATEMENTS[name]), "", most=1_000)
