"""Give the groups their permissions on rules and sources, and report what was reported before there were rules."""

from importlib import import_module

from django.db import migrations

_add_permissions = import_module("logs.migrations.0014_channel_groups")._add_permissions

VIEWERS = ["view_rule", "view_alarm", "view_notification", "view_source"]
OPERATORS = [*VIEWERS, "resend_notification", "mute_source", "try_secret"]
ADMINISTRATORS = [*OPERATORS, "add_rule", "change_rule", "delete_rule"]


def extend_groups(apps, schema_editor):
    """Add the permissions to the groups that exist; a group that a site has deleted stays deleted."""
    using = schema_editor.connection.alias
    _add_permissions(apps, using)
    permissions = apps.get_model("auth", "Permission").objects.using(using).filter(content_type__app_label="logs")
    groups = apps.get_model("auth", "Group").objects.using(using)
    for name, wanted in {"viewers": VIEWERS, "operators": OPERATORS, "administrators": ADMINISTRATORS}.items():
        for group in groups.filter(name=name):
            group.permissions.add(*permissions.filter(codename__in=wanted))


def add_rule(apps, schema_editor):
    """Add a rule for the channels that exist: until now, each change on a default branch was sent to all of them."""
    using = schema_editor.connection.alias
    channels = apps.get_model("logs", "Channel").objects.using(using).all()
    if channels:
        rules = apps.get_model("logs", "Rule").objects.using(using)
        rule, is_new = rules.get_or_create(name="Default branches", defaults={"branches": "<default>"})
        if is_new:  # The migration may have been reversed, and the rule may have changed.
            rule.channels.set(channels)


class Migration(migrations.Migration):
    dependencies = [("logs", "0015_rules_and_sources")]

    operations = [
        migrations.RunPython(extend_groups, migrations.RunPython.noop),
        migrations.RunPython(add_rule, migrations.RunPython.noop),
    ]
