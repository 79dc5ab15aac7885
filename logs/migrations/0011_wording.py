"""Reword help texts; the columns stay as they are, and no SQL is executed."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("logs", "0010_rollup_ends")]

    operations = [
        migrations.AlterField("apitoken", "name", models.CharField(help_text="The purpose of the token.", max_length=100)),
        migrations.AlterField("attempt", "actor", models.CharField(blank=True, help_text="The user who replayed it; empty for the arrival.", max_length=150)),
        migrations.AlterField("delivery", "body_length", models.PositiveIntegerField(blank=True, help_text="In bytes, as it arrived; null if it was not read or not recorded.", null=True)),
        migrations.AlterField("delivery", "event", models.ForeignKey(blank=True, help_text="The event it reports.", null=True, on_delete=models.SET_NULL, related_name="deliveries", to="logs.workflowevent")),
        migrations.AlterField("delivery", "headers", models.JSONField(help_text="The stored headers; their names are in lower case.")),
        migrations.AlterField("delivery", "judged_at", models.DateTimeField(help_text="When the verdict was reached: on arrival or by a replay.")),
        migrations.AlterField("delivery", "plausible", models.BooleanField(help_text="Whether its headers look like CircleCI's and its body is a JSON object.")),
        migrations.AlterField("delivery", "webhook", models.CharField(blank=True, help_text="The name in CIRCLECI_WEBHOOK_SECRETS of the webhook whose secret matched.", max_length=255)),
        migrations.AlterField("delivery", "webhook_slug", models.CharField("address", blank=True, help_text="The last part of the URL it was sent to; empty for the URL that all webhooks share.", max_length=255)),
        migrations.AlterField("hourlylag", "lag_bucket", models.SmallIntegerField(help_text="The bucket of the delay; null if unknown.", null=True)),
        migrations.AlterField("hourlylag", "verified", models.BooleanField(help_text="Whether they were signed; an unsigned event can name any webhook.")),
        migrations.AlterField("hourlyworkflow", "duration_bucket", models.SmallIntegerField(help_text="The bucket of the duration (see `logs.insights.buckets`); null if unknown.", null=True)),
        migrations.AlterField("hourlyworkflow", "seconds", models.FloatField(help_text="The total duration of the runs.")),
        migrations.AlterField("rollupstate", "complete_until", models.DateTimeField(help_text="When a count last finished: everything written to events before is counted.")),
        migrations.AlterField("rollupstate", "counted_from", models.DateTimeField(help_text="The first counted hour; earlier hours are still to be counted.")),
        migrations.AlterField("rollupstate", "counted_until", models.DateTimeField(help_text="Everything written to events until then is counted, even if the last count stopped early.")),
        migrations.AlterField("standing", "broken_since", models.ForeignKey(db_constraint=False, help_text="The first failed run after the last successful one; null if the last run succeeded.", null=True, on_delete=models.DO_NOTHING, related_name="+", to="logs.workflowevent")),
        migrations.AlterField("workflowevent", "changed_at", models.DateTimeField(blank=True, help_text="When its columns were last written; empty if the release that wrote them did not record it.", null=True)),
        migrations.AlterField("workflowevent", "duplicates", models.PositiveIntegerField(blank=True, help_text="Number of deliveries that repeated this event or an older version of it; empty if none.", null=True)),
    ]
