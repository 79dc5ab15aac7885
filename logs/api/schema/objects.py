"""The objects of answers, as far as no view's serializer tells of them."""

from typing import Any

from drf_spectacular.extensions import OpenApiSerializerExtension
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from logs.api.serializers import AttemptSerializer, DeliverySerializer, WorkflowEventSerializer
from logs.api.views.receiving import ANSWERS
from logs.models import Outcome

OUTCOMES = (
    "What became of it: `logged`, `updated` (a newer version of a known event), `duplicate`, `ping`, `expired` (older "
    "than the log keeps events), or refused: `unverified`, `malformed`, `forbidden` (its webhook may not speak for the "
    "project), `rejected` (too large, cut off, compressed, or of another content type)."
)
# In place of the columns' own help texts, which speak to the admin.
DESCRIPTIONS = {
    "id": "Its id; an event's is CircleCI's, and opaque.",
    "name": "The webhook, as CircleCI calls it.",
    "project": "The project's name.",
    "workflow": "The workflow's name.",
    "status": "The job's in job events, the workflow's otherwise; free text.",
    "event_type": "`workflow-completed`, `job-completed`, or a type that is new.",
    "happened_at": "When it happened, by CircleCI's clock.",
    "project_slug": "Such as `github/acme/orchard`.",
    "project_id": "The project's id.",
    "organization": "The organization's name.",
    "workflow_id": "The workflow's id.",
    "job": "The job's name, in job events.",
    "job_number": "The job's number, in job events.",
    "branch": "The branch.",
    "tag": "The tag.",
    "revision": "The commit's hash.",
    "commit_subject": "The first line of the commit's message.",
    "author": "The name of the commit's author.",
    "pipeline_id": "The pipeline's id.",
    "pipeline_number": "The pipeline's number.",
    "trigger": "What started the pipeline, such as `webhook` or `api`.",
    "duration_seconds": "From the start to the stop of the job or workflow.",
    "url": "The workflow in CircleCI; http(s) only.",
    "received_at": "When it arrived; of an event, its first delivery.",
    "outcome": OUTCOMES,
    "reason": "Why it was refused, or not logged as a new event.",
    "client_address": "Who sent it, seen through trusted proxies.",
    "attempted_at": "When the verdict was given.",
    "actor": "Who replayed it; null for the arrival.",
}


class FlatObject(OpenApiSerializerExtension):
    """A flat object: null stands for each text that its columns hold as an empty one."""

    target_class = "logs.api.serializers.FlatSerializer"
    match_subclasses = True

    def map_serializer(self, auto_schema: Any, direction: Any) -> Any:
        """Return the object's schema."""
        schema = auto_schema._map_serializer(self.target, direction, bypass_extensions=True)  # noqa: SLF001 - its way
        for name, field in self.target.fields.items():
            described = schema["properties"][name]
            if name in DESCRIPTIONS:
                described["description"] = DESCRIPTIONS[name]
            if described.get("type") == "string" and _may_be_empty(self.target, field.source):
                described["type"] = ["string", "null"]
        return schema


def _may_be_empty(serializer: Any, source: str) -> bool:
    return any(column.blank for column in serializer.Meta.model._meta.fields if column.name == source)


class ReceiptSerializer(serializers.Serializer[Any]):
    """What CircleCI is answered."""

    message = serializers.CharField(help_text="What was done.")
    id = serializers.CharField(help_text="The event's id.")
    outcome = serializers.ChoiceField(choices=[str(outcome) for outcome in ANSWERS], help_text="The same in a word.")


class EventDetailSerializer(WorkflowEventSerializer):
    """An event with all that is known about it."""

    payload = serializers.DictField(
        allow_null=True, help_text="What CircleCI sent; null once it was removed, and for users who may not see bodies."
    )
    pipeline_events = WorkflowEventSerializer(
        many=True, help_text="The other events of its pipeline, the oldest first, at most 100."
    )
    deliveries = DeliverySerializer(
        many=True,
        allow_null=True,
        help_text="What brought it, the newest first, at most 100; null for users who may not see deliveries.",
    )
    duplicates = serializers.IntegerField(
        min_value=0,
        help_text="Number of deliveries that repeated it or an older version; at least the newest ten are stored.",
    )

    class Meta(WorkflowEventSerializer.Meta):
        fields = [*WorkflowEventSerializer.Meta.fields, "payload", "pipeline_events", "deliveries", "duplicates"]


class DeliveryDetailSerializer(DeliverySerializer):
    """A delivery with its headers and every verdict on it."""

    headers = serializers.DictField(
        child=serializers.CharField(), help_text="The headers that were kept, their names in lower case."
    )
    attempts = AttemptSerializer(many=True, help_text="The verdicts, once there was a replay; its arrival's first.")

    class Meta(DeliverySerializer.Meta):
        fields = [*DeliverySerializer.Meta.fields, "headers", "attempts"]


@extend_schema_field({"type": "string", "contentEncoding": "base64"})
class Base64Field(serializers.CharField):
    """Bytes in base64."""


class StreamedDeliverySerializer(DeliverySerializer):
    """A delivery with all that is needed to send it again."""

    event = WorkflowEventSerializer(  # type: ignore[assignment]  # The whole object in place of its id.
        allow_null=True, help_text="The event it told of; null for users who may not see events."
    )
    cursor = serializers.CharField(help_text="Where to read on behind this delivery: `after`.")
    headers = serializers.DictField(
        child=serializers.CharField(), help_text="The headers that were kept, their names in lower case."
    )
    body_base64 = Base64Field(help_text="The bytes as they arrived, in base64.")

    class Meta(DeliverySerializer.Meta):
        fields = [*DeliverySerializer.Meta.fields, "cursor", "headers", "body_base64"]


class StreamSerializer(serializers.Serializer[Any]):
    """What has arrived."""

    deliveries = StreamedDeliverySerializer(many=True, help_text="In the order in which they were kept; often empty.")
    cursor = serializers.CharField(help_text="Where to read on: `after`.")


class ReplaySerializer(serializers.Serializer[Any]):
    """What a replay has changed, or would change."""

    id = serializers.IntegerField(help_text="The delivery's id.")
    before = serializers.ChoiceField(choices=Outcome.choices, help_text="What had become of it before.")
    outcome = serializers.ChoiceField(choices=Outcome.choices, help_text="What has become of it now.")
    reason = serializers.CharField(allow_null=True, help_text="Why it was refused, or not logged as a new event.")
    mended = serializers.BooleanField(help_text="Whether it was refused before and is accepted now.")
    event = serializers.CharField(allow_null=True, help_text="The id of the event it tells of.")
