"""Store the newest keys at the last count, because clocks can be set back."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("logs", "0009_delivery_body_length")]

    operations = [
        migrations.AddField(model_name="rollupstate", name="last_event", field=models.BigIntegerField(null=True)),
        migrations.AddField(model_name="rollupstate", name="last_delivery", field=models.BigIntegerField(null=True)),
        migrations.AddField(model_name="rollupstate", name="last_attempt", field=models.BigIntegerField(null=True)),
    ]
