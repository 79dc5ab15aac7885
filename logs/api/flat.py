"""Rows of a model as flat objects: each field is a text, a number, a truth or a time."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db.models import Model
from django.utils.functional import cached_property
from drf_spectacular.extensions import OpenApiSerializerExtension
from rest_framework import serializers

from logs.times import rfc_3339


def described(fields: dict[str, str]) -> dict[str, dict[str, str]]:
    """Return a serializer's ``extra_kwargs`` for the descriptions of its fields."""
    return {name: {"help_text": text} for name, text in fields.items()}


class Flat(serializers.Serializer[Any]):
    """An object whose fields are attributes of one row; empty text is shown as null."""

    computed: Sequence[str] = ()  # Fields that are not attributes; a subclass's `to_representation` adds them.

    def to_representation(self, instance: Any) -> dict[str, Any]:
        """Return the object."""
        return {name: _plain(_value(instance, source)) if source else None for name, source in self._sources}

    @cached_property
    def _sources(self) -> list[tuple[str, str]]:
        """The attribute of each field; "" if the field is computed, which leaves its position to it."""
        return [(name, "" if name in self.computed else field.source or name) for name, field in self.fields.items()]


class FlatSerializer(Flat, serializers.ModelSerializer[Any]):
    """A row of a model as a flat object."""


class FlatSchema(OpenApiSerializerExtension):
    """Describes which text fields of a flat object may be null."""

    target_class = FlatSerializer
    match_subclasses = True

    def map_serializer(self, auto_schema: Any, direction: Any) -> Any:
        """Return the object's schema."""
        schema = auto_schema._map_serializer(self.target, direction, bypass_extensions=True)  # noqa: SLF001 - its way
        for name, field in self.target.fields.items():
            shown = schema["properties"][name]
            is_text = shown.get("type") == "string" and "enum" not in shown
            if is_text and _may_be_empty(self.target.Meta.model, field.source):
                shown["type"] = ["string", "null"]
        return schema


def _value(row: Any, source: str) -> Any:
    for attribute in source.split("."):
        row = getattr(row, attribute) if row is not None else None
    return row


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return rfc_3339(value)
    return None if value == "" else value


def _may_be_empty(model: type[Model], source: str) -> bool:
    return any(column.blank for column in model._meta.fields if column.name == source)
