"""Add the original length of a delivery's body; null is allowed because the previous version writes rows without it."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("logs", "0008_secret_fingerprints")]

    operations = [
        migrations.AddField(
            model_name="delivery",
            name="body_length",
            field=models.PositiveIntegerField(
                blank=True,
                null=True,
                help_text="In bytes, as it arrived; null if it was not read, and in old deliveries.",
            ),
        ),
    ]
