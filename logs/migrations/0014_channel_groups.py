"""Give the groups their permissions on channels; all other changes that a site has made to its groups stay."""

from django.contrib.auth.management import create_permissions
from django.db import migrations

VIEWERS = ["view_channel"]
OPERATORS = [*VIEWERS, "test_channel"]
ADMINISTRATORS = [*OPERATORS, "add_channel", "change_channel"]


def extend_groups(apps, schema_editor):
    """Add the permissions to the groups that exist; a group that a site has deleted stays deleted."""
    using = schema_editor.connection.alias
    _add_permissions(apps, using)
    permissions = apps.get_model("auth", "Permission").objects.using(using).filter(content_type__app_label="logs")
    groups = apps.get_model("auth", "Group").objects.using(using)
    for name, wanted in {"viewers": VIEWERS, "operators": OPERATORS, "administrators": ADMINISTRATORS}.items():
        for group in groups.filter(name=name):
            group.permissions.add(*permissions.filter(codename__in=wanted))


def _add_permissions(apps, using):
    """Add permissions now: Django does only after all migrations, too late for a group."""
    app_config = apps.get_app_config("logs")
    app_config.models_module = True  # In a migration, an application claims to have no models.
    create_permissions(app_config, apps=apps, using=using, verbosity=0)
    app_config.models_module = None


class Migration(migrations.Migration):
    dependencies = [
        ("logs", "0013_notifications"),
        ("logs", "0006_groups"),
    ]

    operations = [
        migrations.RunPython(extend_groups, migrations.RunPython.noop),
    ]
