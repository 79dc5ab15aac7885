"""Add up the days, for the figures of a week; the watch fills them."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("logs", "0021_default_branch_sums")]

    operations = [
        migrations.CreateModel(
            name="SummedDay",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("began_at", models.DateTimeField(unique=True)),
            ],
            options={
                "default_permissions": [],
            },
        ),
        migrations.CreateModel(
            name="DailyWorkflow",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("runs", models.PositiveIntegerField(help_text="All runs.")),
                ("good", models.PositiveIntegerField(help_text="The runs that succeeded.")),
                ("bad", models.PositiveIntegerField(help_text="The runs that failed.")),
                (
                    "timed",
                    models.PositiveIntegerField(
                        help_text="The runs that succeeded or failed, and whose duration is known."
                    ),
                ),
                ("seconds", models.FloatField(help_text="The total duration of the timed runs.")),
                ("buckets", models.JSONField(help_text="The number of timed runs in each bucket of durations.")),
                (
                    "workflow",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="days",
                        to="logs.workflow",
                    ),
                ),
                (
                    "day",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="workflows",
                        to="logs.summedday",
                    ),
                ),
            ],
            options={
                "default_permissions": [],
                "indexes": [models.Index(fields=["workflow", "day"], name="daily_workflow_workflow")],
                "constraints": [models.UniqueConstraint(fields=("day", "workflow"), name="daily_workflow_unique")],
            },
        ),
    ]
