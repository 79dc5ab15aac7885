"""Groups for those who look, those who act, and those who decide who may; a site may change them as it likes."""

from django.contrib.auth.management import create_permissions
from django.db import migrations

VIEWERS = [("logs", "view_workflowevent"), ("logs", "view_delivery")]
OPERATORS = [
    *VIEWERS,
    ("logs", "view_delivery_body"),
    ("logs", "replay_delivery"),
    ("logs", "prune_log"),
    *(("logs", f"{action}_apitoken") for action in ("view", "add", "delete")),
]
ACCOUNTS = [("auth", f"{action}_{model}") for model in ("user", "group") for action in ("view", "add", "change", "delete")]
ADMINISTRATORS = [*ACCOUNTS, ("admin", "view_logentry")]  # And all of this application's.


def add_groups(apps, schema_editor):
    """Add those that are missing; what a site has changed stays."""
    using = schema_editor.connection.alias
    _add_permissions(apps, using)
    own = apps.get_model("auth", "Permission").objects.using(using).filter(content_type__app_label="logs")
    every_own = [("logs", codename) for codename in own.values_list("codename", flat=True)]
    for name, wanted in {
        "viewers": VIEWERS,
        "operators": OPERATORS,
        "administrators": [*ADMINISTRATORS, *every_own],
    }.items():
        group, is_new = apps.get_model("auth", "Group").objects.using(using).get_or_create(name=name)
        if is_new:
            group.permissions.set(_permissions(apps, using, wanted))


def _add_permissions(apps, using):
    """Add permissions now: Django does only after all migrations, too late for a group."""
    for label in ("logs", "auth", "admin"):
        app_config = apps.get_app_config(label)
        app_config.models_module = True  # What stands here for an application in a migration claims to have no models.
        create_permissions(app_config, apps=apps, using=using, verbosity=0)
        app_config.models_module = None


def _permissions(apps, using, wanted):
    permissions = apps.get_model("auth", "Permission").objects.using(using).select_related("content_type")
    return [each for each in permissions if (each.content_type.app_label, each.codename) in set(wanted)]


class Migration(migrations.Migration):

    dependencies = [
        ("logs", "0005_rollups"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("admin", "0003_logentry_add_action_flag_choices"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [
        migrations.RunPython(add_groups, migrations.RunPython.noop),
    ]
