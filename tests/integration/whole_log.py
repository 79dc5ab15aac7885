"""A log with rows in every table, and with values of every kind; and what a database has of it, read by Django."""

import json
from datetime import UTC, datetime, timedelta

from django.apps import apps
from django.contrib.auth.models import Group
from django.db import connection, connections, models, transaction

from logs.management.copying.tables import LEFT_OUT, stored_field, tables
from logs.management.copying.targets import opened

OF_DJANGO = {"auth.Permission", "contenttypes.ContentType"}
KEYS = (1, 2, 3_000)  # In different blocks. Each row refers to rows with its own key.
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
JSON = {"zone": [1.5, None, True, "Ä\\"], "a": {"n": 2.0, "big": 2**60}}
# fmt: off
VALUES = {
    models.BooleanField:          lambda key: key % 2 == 0,
    models.BinaryField:           lambda key: bytes(range(256)) * key,
    models.DateTimeField:         lambda key: NOON + timedelta(days=key, microseconds=key % 2),
    models.FloatField:            lambda key: key / 7,
    models.JSONField:             lambda key: json.dumps(JSON | {"key": key}),
    models.IntegerField:          lambda key: key,
    models.CharField:             lambda key: f"{key} » Übung 🍎 'x' \\ \t\r\n",
    models.TextField:             lambda key: f"{key}\n" + "long " * 1000,
    models.GenericIPAddressField: lambda key: ["192.0.2.7", "2001:db8::1", "::ffff:192.0.2.7"][key % 3],
}
# fmt: on
# What a constraint demands.
OTHER = {("logs_rule", "after_failures"): 3, ("logs_standing", "failures"): 0, ("logs_site", "site_id"): "0" * 32}


def make_whole_log():
    """Insert rows into every table that is copied; what Django itself writes there stays."""
    Group.objects.all().delete()
    with opened("whole_log", connection.settings_dict) as database, transaction.atomic(using="whole_log"):
        for table in tables():
            if table.label not in OF_DJANGO:
                database.insert(table, [[_value(table, field, key) for field in table.fields] for key in KEYS])


def _value(table, field, key):
    kind = stored_field(field)
    if (table.name, field.column) in OTHER:
        return OTHER[table.name, field.column]
    if field.null and key == KEYS[-1]:
        return None
    if isinstance(field, models.ForeignKey) and field.related_model._meta.label in OF_DJANGO:
        return field.related_model._default_manager.order_by("pk")[key % 3].pk
    value = next(make for django, make in VALUES.items() if isinstance(kind, django))(key)
    return value[: kind.max_length] if isinstance(kind, models.CharField) else value


def rows_of(alias="default"):
    """Return all rows of all tables that are copied, as Django's models have them."""
    found = [model for model in apps.get_models(include_auto_created=True) if model._meta.label not in LEFT_OUT]
    return {model._meta.label: list(model._default_manager.using(alias).order_by("pk").values()) for model in found}


def rows_in(url_settings):
    """Return all rows of another database."""
    connections.settings["witness"] = url_settings
    connections["witness"] = connections.create_connection("witness")
    try:
        return rows_of("witness")
    finally:
        connections["witness"].close()
        del connections["witness"], connections.settings["witness"]
