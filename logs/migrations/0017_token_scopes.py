from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("logs", "0016_first_rule"),
    ]

    operations = [
        # Nullable and without a default: the old version inserts rows without it, and SQLite does not copy the table.
        migrations.AddField(
            model_name="apitoken",
            name="scopes",
            field=models.CharField(
                blank=True,
                editable=False,
                help_text="Separated by spaces; null means everything that the user may do.",
                max_length=200,
                null=True,
            ),
        ),
    ]
