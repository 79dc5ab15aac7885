"""Add standings for all branches, state changes, the watch's tasks, and the origin of events.

The previous release can run meanwhile: it fills neither the new columns nor the new tables.
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


def _text(max_length: int = 255) -> models.CharField:
    return models.CharField(blank=True, max_length=max_length)


class Migration(migrations.Migration):
    dependencies = [("logs", "0011_wording")]

    operations = [
        migrations.AddField("workflowevent", "origin", models.CharField(blank=True, choices=[("webhook", "webhook"), ("api", "API"), ("import", "import")], help_text="Where its newest version comes from; empty means a webhook: older releases did not record it.", max_length=10, null=True)),
        migrations.CreateModel(
            name="StateChange",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("project_slug", _text()),
                ("project", _text()),
                ("workflow", _text()),
                ("branch", _text()),
                ("kind", models.CharField(choices=[("broke", "broke"), ("fixed", "fixed")], max_length=5)),
                ("event", _event("The run that changed the state.")),
                ("pipeline_number", models.BigIntegerField(null=True)),
                ("revision", _text()),
                ("author", _text()),
                ("subject", _text(500)),
                ("happened_at", models.DateTimeField(help_text="When the run ended.")),
                ("noted_at", models.DateTimeField(help_text="When the watch recorded the change.")),
                ("broken_for_seconds", models.FloatField(help_text="How long the workflow was broken; null if unknown.", null=True)),
                ("failures", models.PositiveIntegerField(help_text="How many runs in a row had failed, or 1 when it broke.")),
                ("quiet_reason", models.CharField(blank=True, help_text="Why nothing reports it; empty if it is loud.", max_length=200)),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("event", "kind"), name="change_unique")],
                "indexes": [
                    models.Index(fields=["project_slug", "workflow", "branch", "-id"], name="change_branch"),
                    models.Index(fields=["-happened_at", "-id"], name="change_newest"),
                ],
            },
        ),
        migrations.CreateModel(
            name="WatchTask",
            fields=[
                ("name", models.CharField(max_length=32, primary_key=True, serialize=False)),
                ("claim", models.CharField(blank=True, help_text="Identifies the process that runs it.", max_length=32)),
                ("claimed_until", models.DateTimeField(help_text="Until then, no other process may run it.", null=True)),
                ("cursor", models.JSONField(help_text="How far it has read.", null=True)),
                ("last_started_at", models.DateTimeField(null=True)),
                ("last_finished_at", models.DateTimeField(help_text="When it last ended without an error.", null=True)),
                ("last_error", models.CharField(blank=True, help_text="Empty if the last run succeeded.", max_length=300)),
            ],
        ),
        migrations.AddField("standing", "project_id", models.CharField(blank=True, db_default="", default="", max_length=255)),
        migrations.AddField("standing", "tone", models.CharField(blank=True, choices=[("good", "good"), ("bad", "bad")], db_default="", default="", help_text="Whether the deciding run succeeded (`good`) or failed (`bad`).", max_length=4)),
        migrations.AlterField("standing", "last", _event("The run that decides.")),
        migrations.AddField("standing", "is_proven", models.BooleanField(help_text="Whether the deciding run was signed, or was read from CircleCI's API.", null=True)),
        migrations.AddField("standing", "pipeline_number", models.BigIntegerField(help_text="The number of the deciding run's pipeline.", null=True)),
        migrations.AddField("standing", "stopped_at", models.DateTimeField(help_text="When the deciding run stopped.", null=True)),
        migrations.AddField("standing", "last_good", _event("The last run that succeeded.")),
        migrations.AddField("standing", "last_good_at", models.DateTimeField(help_text="When the last run that succeeded ended.", null=True)),
        migrations.AlterField("standing", "broken_since", _event("The first failed run after the last one that succeeded; null if it is not broken.")),
        migrations.AddField("standing", "broken_at", models.DateTimeField(help_text="When the first of these failed runs ended.", null=True)),
        migrations.AddField("standing", "failures", models.PositiveIntegerField(db_default=0, default=0, help_text="How many runs in a row have failed.")),
        migrations.AddField("standing", "last_run_at", models.DateTimeField(help_text="When the newest finished run arrived.", null=True)),
        migrations.AddConstraint(
            "standing",
            models.CheckConstraint(
                condition=models.Q(failures__gt=0, tone="bad") | (~models.Q(tone="bad") & models.Q(failures=0)),
                name="standing_bad_has_failures",
            ),
        ),
        migrations.AddIndex("standing", models.Index(fields=["last_run_at", "id"], name="standing_last_run")),
        migrations.AddIndex("standing", models.Index(condition=models.Q(("tone", "bad")), fields=["last_run_at"], name="standing_bad")),
    ]
