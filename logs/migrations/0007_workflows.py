"""Workflows get a row of their own, which hourly sums name by its number; all hours are to be counted again."""

import django.db.models.deletion
from django.db import migrations, models


def begin_anew(apps, schema_editor):
    """Forget how far was counted: the sums of workflows are gone."""
    apps.get_model("logs", "RollupState").objects.all().delete()


class Migration(migrations.Migration):

    dependencies = [
        ('logs', '0006_groups'),
    ]

    operations = [
        migrations.RunPython(begin_anew, begin_anew),
        migrations.DeleteModel(name='HourlyWorkflow'),
        migrations.CreateModel(
            name='Workflow',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('project_slug', models.CharField(blank=True, max_length=255)),
                ('name', models.CharField(blank=True, max_length=255)),
                ('project', models.CharField(blank=True, max_length=255)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('project_slug', 'name'), name='workflow_unique')],
            },
        ),
        migrations.CreateModel(
            name='HourlyWorkflow',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('hour', models.DateTimeField(help_text='When the hour began.')),
                ('status', models.CharField(blank=True, max_length=255)),
                ('duration_bucket', models.SmallIntegerField(help_text='Which of the growing spans of `logs.insights.buckets` it took; null: not known.', null=True)),
                ('seconds', models.FloatField(help_text='How long the runs took, together.')),
                ('count', models.PositiveIntegerField()),
                ('workflow', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='hours', to='logs.workflow')),
            ],
            options={
                'indexes': [
                    models.Index(fields=['hour'], name='hourly_workflow_hour'),
                    models.Index(fields=['workflow', 'hour'], name='hourly_workflow_workflow'),
                ],
            },
        ),
    ]
