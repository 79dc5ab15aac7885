"""Count the runs on default branches separately; the watch recounts the hours of the last 91 days."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("logs", "0020_claims_and_answers")]

    operations = [
        migrations.AddField(
            model_name="hourlyworkflow",
            name="on_default_branch",
            field=models.BooleanField(
                help_text="Whether they ran on a default branch of their project; null in sums of older releases.",
                null=True,
            ),
        ),
    ]
