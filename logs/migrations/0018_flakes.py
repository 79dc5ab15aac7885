"""Add the flakes, and an index for the standings of a project.

The previous release can run meanwhile: it does not use the new table.
"""

from django.db import migrations, models


def _event(help_text: str) -> models.ForeignKey:
    return models.ForeignKey(
        "logs.workflowevent",
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="+",
        null=True,
        blank=True,
        help_text=help_text,
    )


def _text() -> models.CharField:
    return models.CharField(blank=True, max_length=255)


class Migration(migrations.Migration):
    dependencies = [("logs", "0017_token_scopes")]

    operations = [
        migrations.CreateModel(
            name="Flake",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("project_slug", _text()),
                ("project", _text()),
                ("workflow", _text()),
                ("job", _text()),
                ("branch", _text()),
                ("revision", _text()),
                ("is_proven", models.BooleanField(help_text="Whether the runs were signed, or were read from CircleCI's API.")),
                ("failures", models.PositiveIntegerField(help_text="How many of its runs on the commit failed.")),
                ("failed", _event("The last run that failed.")),
                ("succeeded", _event("The last run that succeeded.")),
                ("first_failed_at", models.DateTimeField(help_text="When the first run that failed arrived.")),
                ("seen_at", models.DateTimeField(help_text="When the newest of these runs arrived.")),
                ("noted_at", models.DateTimeField(help_text="When the watch first found both.")),
            ],
            options={
                "default_permissions": [],
                "constraints": [models.UniqueConstraint(fields=["revision", "project_slug", "workflow", "job"], name="flake_unique")],
                "indexes": [
                    models.Index(fields=["-seen_at", "-id"], name="flake_newest"),
                    models.Index(fields=["project_slug", "-seen_at", "-id"], name="flake_project_slug"),
                    models.Index(fields=["project", "-seen_at", "-id"], name="flake_project"),
                ],
            },
        ),
        migrations.AddIndex("standing", models.Index(fields=["project_slug", "-last_run_at", "-id"], name="standing_project")),
    ]
