"""Store fingerprints of secrets instead of their positions, which change with each rotation."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("logs", "0007_duplicates")]

    operations = [
        # Nullable and without a default: the old version inserts rows without them, and SQLite does not copy the table.
        migrations.AddField(
            model_name="delivery",
            name="secret_fingerprint",
            field=models.CharField(
                blank=True,
                help_text="Identifies the secret that matched; empty for an unsigned webhook.",
                max_length=8,
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="delivery",
            name="project_slug",
            field=models.CharField(
                blank=True, help_text="The project that a signed payload names.", max_length=255, null=True
            ),
        ),
        migrations.RemoveIndex(model_name="delivery", name="delivery_secret_newest"),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(
                fields=["webhook", "secret_fingerprint", "project_slug", "-id"], name="delivery_secret_project"
            ),
        ),
        # The column stays in the database, because the old version writes it until it stops.
        migrations.SeparateDatabaseAndState(
            state_operations=[migrations.RemoveField(model_name="delivery", name="secret_position")]
        ),
    ]
