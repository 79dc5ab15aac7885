"""The tables of a log, and the blocks of rows in which they are compared and copied."""

from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.db import models

LEFT_OUT = {"sessions.Session": "users sign in again"}
# `migrate` writes rows to these tables, so they may have rows in an empty log. They are replaced by the source's rows.
FILLED_BY_MIGRATE = {"auth.Group", "auth.Group_permissions", "auth.Permission", "contenttypes.ContentType"}
KEYS_PER_BLOCK = 1_000
KEYS_PER_BLOCK_WITH_BODIES = 250  # All rows of a block are in memory, and a body may have megabytes.

Row = list[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table that is copied. Rows have their values in the order of `fields`; the first is the key."""

    label: str  # "logs.Delivery"
    name: str
    fields: tuple["models.Field[Any, Any]", ...]

    @property
    def key(self) -> "models.Field[Any, Any]":
        """The primary key."""
        return self.fields[0]

    @property
    def columns(self) -> str:
        """The columns as SQL."""
        return ", ".join(f'"{field.column}"' for field in self.fields)

    @property
    def has_numbered_keys(self) -> bool:
        """Whether the keys are numbers; any other table is a single block."""
        return isinstance(stored_field(self.key), models.IntegerField)

    @property
    def has_sequence(self) -> bool:
        """Whether the database numbers new rows."""
        return isinstance(self.key, models.AutoField)

    @property
    def keys_per_block(self) -> int:
        """The number of keys in a block; only some of them may have a row."""
        has_bodies = any(isinstance(field, models.BinaryField) for field in self.fields)
        return KEYS_PER_BLOCK_WITH_BODIES if has_bodies else KEYS_PER_BLOCK

    def condition(self, block: int) -> str:
        """Return the SQL condition for the rows of a block."""
        if not self.has_numbered_keys:
            return "1 = 1"
        start = block * self.keys_per_block
        return f'"{self.key.column}" >= {start} AND "{self.key.column}" < {start + self.keys_per_block}'


def tables() -> list[Table]:
    """Return all tables that are copied, in the order of the installed apps."""
    found = [model._meta for model in apps.get_models(include_auto_created=True) if model._meta.managed]
    return [
        Table(label=meta.label, name=meta.db_table, fields=_key_first(meta.concrete_fields))
        for meta in found
        if not meta.proxy and meta.label not in LEFT_OUT
    ]


def stored_field(field: "models.Field[Any, Any]") -> "models.Field[Any, Any]":
    """Return the field whose type a column has; for a foreign key, that of the row that it refers to."""
    while isinstance(field, models.ForeignKey):
        field = field.target_field
    return field


def _key_first(fields: "tuple[models.Field[Any, Any], ...]") -> "tuple[models.Field[Any, Any], ...]":
    return tuple(sorted(fields, key=lambda field: not field.primary_key))
