"""Add the counters for /metrics, which the watch fills, and on PostgreSQL the views for Grafana.

docs/metrics.md describes the views' columns. PostgreSQL refuses to drop a column that a view reads, or to change its
type. A migration that does either drops the view first and creates it again with the same columns: dashboards of
operators depend on their names. The roles that could read the view must then be granted SELECT again.

The views omit authors and commit messages: a Grafana has more readers than the log.

The previous release can run meanwhile: it uses neither the tables nor the views.
"""

from django.db import migrations, models

OUTCOMES = ["logged", "updated", "duplicate", "ping", "expired", "unverified", "malformed", "forbidden", "rejected"]

RUNS = """
CREATE VIEW webhooklog_runs AS
SELECT
    event_id AS id,
    received_at,
    stopped_at,
    project,
    project_slug,
    workflow,
    branch,
    tag,
    status,
    CASE
        WHEN status = 'success' THEN 'good'
        WHEN status IN (
            'failed', 'error', 'failing', 'infrastructure_fail', 'timedout', 'terminated-unknown', 'unauthorized'
        ) THEN 'bad'
    END AS tone,
    duration_seconds,
    revision,
    pipeline_number,
    verified,
    url
FROM logs_workflowevent
WHERE event_type = 'workflow-completed'
"""

CHANGES = """
CREATE VIEW webhooklog_changes AS
SELECT
    id,
    happened_at,
    noted_at,
    project,
    project_slug,
    workflow,
    branch,
    kind,
    failures,
    broken_for_seconds,
    revision,
    pipeline_number,
    quiet_reason <> '' AS is_quiet
FROM logs_statechange
"""


def add_views(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(RUNS)
        schema_editor.execute(CHANGES)


def drop_views(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP VIEW webhooklog_changes")
        schema_editor.execute("DROP VIEW webhooklog_runs")


class Migration(migrations.Migration):
    dependencies = [("logs", "0022_summed_days")]

    operations = [
        migrations.CreateModel(
            name="DeliveryCounter",
            fields=[
                (
                    "outcome",
                    models.CharField(
                        choices=[(outcome, outcome) for outcome in OUTCOMES],
                        max_length=20,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("count", models.BigIntegerField(default=0)),
            ],
            options={"default_permissions": []},
        ),
        migrations.CreateModel(
            name="EventCounter",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("event_type", models.CharField(blank=True, max_length=255)),
                ("status", models.CharField(blank=True, max_length=255)),
                ("count", models.BigIntegerField(default=0)),
            ],
            options={
                "default_permissions": [],
                "constraints": [
                    models.UniqueConstraint(fields=["event_type", "status"], name="event_counter_unique")
                ],
            },
        ),
        migrations.CreateModel(
            name="CounterProgress",
            fields=[
                ("table", models.CharField(max_length=32, primary_key=True, serialize=False)),
                (
                    "last_key",
                    models.BigIntegerField(default=0, help_text="The rows up to this key have been counted."),
                ),
                (
                    "is_complete",
                    models.BooleanField(
                        default=False, help_text="Whether the rows from before the first count have been counted."
                    ),
                ),
            ],
            options={"default_permissions": []},
        ),
        migrations.RunPython(add_views, drop_views),
    ]
