"""Add claims (the events that refused deliveries name), and the response to each delivery.

The claims of the refused deliveries that are stored are read.
"""

import django.db.models.deletion
from django.db import migrations, models

from logs.circleci.payload import read_claim

REFUSED = ["unverified", "malformed", "forbidden", "rejected"]
BATCH_SIZE = 100  # Each body is in memory.
# Of each outcome. REFUSED_DELIVERIES_MAX may be a thousand times its default; the oldest deliveries then have no claim.
MOST_READ = 3_000


def add_claims(apps, schema_editor):
    """Read the claims of the newest refused deliveries; a delivery that has one keeps it."""
    using = schema_editor.connection.alias
    deliveries = apps.get_model("logs", "Delivery").objects.using(using)
    claims = apps.get_model("logs", "Claim").objects.using(using)
    names = [column.name for column in claims.model._meta.concrete_fields if not column.primary_key]
    for outcome in REFUSED:  # Each in the order of its index.
        newest = deliveries.filter(outcome=outcome).order_by("-received_at", "-pk").values_list("pk", flat=True)
        keys = list(newest[:MOST_READ])
        for start in range(0, len(keys), BATCH_SIZE):
            bodies = deliveries.filter(pk__in=keys[start : start + BATCH_SIZE]).values_list("pk", "body")
            read = [(key, read_claim(bytes(body))) for key, body in bodies]
            columns = [(key, {name: getattr(event, name) for name in names}) for key, event in read if event]
            found = [claims.model(delivery_id=key, **each) for key, each in columns if any(each.values())]
            claims.bulk_create(found, ignore_conflicts=True)


def text():
    return models.CharField(blank=True, max_length=255)


class Migration(migrations.Migration):
    dependencies = [("logs", "0019_feeds")]

    operations = [
        migrations.CreateModel(
            name="Claim",
            fields=[
                (
                    "delivery",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        serialize=False,
                        to="logs.delivery",
                    ),
                ),
                ("project", text()),
                ("project_slug", text()),
                ("project_id", text()),
                ("workflow", text()),
                ("job", text()),
                ("job_number", models.BigIntegerField(blank=True, null=True)),
                ("status", text()),
                ("branch", text()),
                ("revision", text()),
                ("pipeline_number", models.BigIntegerField(blank=True, null=True)),
            ],
            options={
                "default_permissions": [],
                "indexes": [
                    models.Index(fields=["pipeline_number"], name="claim_pipeline_number"),
                    models.Index(fields=["revision"], name="claim_revision", opclasses=["varchar_pattern_ops"]),
                ],
            },
        ),
        # Before the columns: adding them locks the deliveries until the migration ends.
        migrations.RunPython(add_claims, migrations.RunPython.noop),
        # Nullable and without a default: the old version inserts rows without them, and no database rewrites the table.
        # Signed types: a check for positive numbers would read all rows.
        migrations.AddField(
            model_name="delivery",
            name="response_status",
            field=models.SmallIntegerField(
                blank=True,
                help_text="The status of the response. A replay does not change what was answered.",
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="delivery",
            name="response_message",
            field=models.TextField(blank=True, help_text="The message of the response.", null=True),
        ),
        migrations.AddField(
            model_name="delivery",
            name="response_seconds",
            field=models.FloatField(
                blank=True,
                help_text="From the arrival until its row was handed to the database. The commit took further time.",
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="delivery",
            name="request_id",
            field=models.CharField(
                blank=True, help_text="The response's X-Request-ID.", max_length=64, null=True
            ),
        ),
    ]
