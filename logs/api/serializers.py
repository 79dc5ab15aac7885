"""What the log holds, as flat objects; whatever is missing is null."""

from datetime import datetime
from typing import Any

from django.db.models import Model
from rest_framework import serializers

from logs.models import Attempt, Delivery, WorkflowEvent


class FlatSerializer(serializers.ModelSerializer[Any]):
    """A row as a flat object: its columns, with null for the empty texts that they hold in place of missing ones."""

    def to_representation(self, instance: Model) -> dict[str, Any]:
        """Return the object."""
        return {name: _plain(_value(instance, field.source or name)) for name, field in self.fields.items()}


def _value(row: Any, source: str) -> Any:
    for attribute in source.split("."):
        row = getattr(row, attribute) if row is not None else None
    return row


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return None if value == "" else value


class WorkflowEventSerializer(FlatSerializer):
    """An event, with the tutorial's four names first."""

    id = serializers.CharField(source="event_id", help_text="CircleCI's id of the event; opaque.")

    class Meta:
        model = WorkflowEvent
        fields = [
            "name",
            "project",
            "workflow",
            "status",
            "id",
            "event_type",
            "happened_at",
            "received_at",
            "project_slug",
            "project_id",
            "organization",
            "workflow_id",
            "job",
            "job_number",
            "branch",
            "tag",
            "revision",
            "commit_subject",
            "author",
            "pipeline_id",
            "pipeline_number",
            "trigger",
            "duration_seconds",
            "url",
            "verified",
        ]
        read_only_fields = fields


class DeliverySerializer(FlatSerializer):
    """A delivery, without its headers and its body."""

    event = serializers.CharField(source="event.event_id", allow_null=True, help_text="The id of the event it told of.")
    secret_position = serializers.IntegerField(
        allow_null=True,
        help_text=(
            "The position of the secret that signed it in the webhook's current list; 0 is the newest. Null if no "
            "secret signed it, or if the secret is unknown or no longer configured."
        ),
    )
    address = serializers.CharField(source="webhook_slug", help_text="The last part of the address it was sent to.")

    class Meta:
        model = Delivery
        fields = [
            "id",
            "received_at",
            "outcome",
            "reason",
            "webhook",
            "verified",
            "secret_position",
            "address",
            "client_address",
            "judged_at",
            "event",
        ]
        read_only_fields = fields


class AttemptSerializer(FlatSerializer):
    """A verdict on a delivery."""

    class Meta:
        model = Attempt
        fields = ["attempted_at", "outcome", "reason", "actor"]
        read_only_fields = fields
