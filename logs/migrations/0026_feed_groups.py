"""Give the groups their permissions on feeds; all other changes that a site has made to its groups stay."""

from importlib import import_module

from django.db import migrations

_add_permissions = import_module("logs.migrations.0014_channel_groups")._add_permissions

VIEWERS = ["view_feed"]
ADMINISTRATORS = [*VIEWERS, "add_feed", "delete_feed"]


def extend_groups(apps, schema_editor):
    """Add the permissions to the groups that exist; a group that a site has deleted stays deleted."""
    using = schema_editor.connection.alias
    _add_permissions(apps, using)
    permissions = apps.get_model("auth", "Permission").objects.using(using).filter(content_type__app_label="logs")
    groups = apps.get_model("auth", "Group").objects.using(using)
    for name, wanted in {"viewers": VIEWERS, "operators": VIEWERS, "administrators": ADMINISTRATORS}.items():
        for group in groups.filter(name=name):
            group.permissions.add(*permissions.filter(codename__in=wanted))


class Migration(migrations.Migration):
    dependencies = [("logs", "0025_metrics")]

    operations = [
        migrations.RunPython(extend_groups, migrations.RunPython.noop),
    ]
