"""The objects for events and deliveries: what their fields mean, and how they are filled."""

import json
from base64 import b64encode
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from logs.api.flat import Flat, FlatSerializer, described
from logs.api.permissions import may
from logs.circleci.strict_json import parse_payload
from logs.exceptions import PayloadMalformed
from logs.models import Attempt, Claim, Delivery, Outcome, WorkflowEvent
from logs.models.deliveries import REFUSED
from logs.permissions import VIEW_BODIES, VIEW_DELIVERIES, VIEW_EVENTS
from logs.reading.stream.cursors import encode_cursor

MAX_RELATED = 100

OUTCOMES = (
    "The outcome: `logged`, `updated` (a newer version of a known event), `duplicate`, `ping`, `expired` (older than "
    "the log keeps events), or refused: `unverified`, `malformed`, `forbidden` (its webhook may not send the project's "
    "events), `rejected` (too large, incomplete, compressed, or of another content type)."
)
REASON = "Why it was refused, or not logged as a new event."
# The names and descriptions of an event's fields, in order: the tutorial's four names first.
EVENT_FIELDS = {
    "name": "The webhook's name in CircleCI.",
    "project": "The project's name.",
    "workflow": "The workflow's name.",
    "status": "The job's status in job events, otherwise the workflow's; free text.",
    "id": "CircleCI's id of the event; opaque.",
    "event_type": "`workflow-completed`, `job-completed`, or a new type.",
    "happened_at": "When it happened, by CircleCI's clock.",
    "received_at": "When its first delivery arrived.",
    "project_slug": "The project's slug, such as `github/acme/orchard`.",
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
    "trigger": "The pipeline's trigger, such as `webhook` or `api`.",
    "duration_seconds": "The time from the start to the end of the job or workflow.",
    "url": "The workflow's URL in CircleCI; http or https only.",
    "verified": "Whether a signature proves that CircleCI sent it.",
}
DELIVERY_FIELDS = {
    "id": "The delivery's id.",
    "received_at": "When it arrived.",
    "outcome": OUTCOMES,
    "reason": REASON,
    "webhook": "The configured webhook whose secret matched.",
    "verified": "Whether the signature proves that CircleCI sent it.",
    "secret_position": (
        "The position of the secret that signed it in the webhook's current list; 0 is the newest. Null if no secret "
        "signed it, or if the secret is unknown or no longer configured."
    ),
    "address": "The last part of the URL to which it was sent.",
    "client_address": "The client's IP address, seen through trusted proxies.",
    "judged_at": "When the outcome was decided: on arrival or in a replay.",
    "event": "The id of its event.",
    "response_status": "The status of the response; null if it was imported or stored by an older release.",
    "response_message": "The message of the response. A replay does not change it.",
    "response_seconds": (
        "The time from the arrival until the delivery was handed to the database; the commit took further time."
    ),
    "request_id": "The request id, which the response and the server's log contain.",
    "claim": (
        "What the body of a refused delivery says about its event; nothing proves it. Null if it was accepted, or if "
        "its body says nothing or was not stored whole."
    ),
}
CLAIM_FIELDS = {
    name: EVENT_FIELDS[name]
    for name in (
        "project",
        "project_slug",
        "project_id",
        "workflow",
        "job",
        "job_number",
        "status",
        "branch",
        "revision",
        "pipeline_number",
    )
}
ATTEMPT_FIELDS = {
    "attempted_at": "When the verdict was reached.",
    "outcome": OUTCOMES,
    "reason": REASON,
    "actor": "The user who replayed it; null for the verdict on arrival.",
}


class WorkflowEventSerializer(FlatSerializer):
    """An event."""

    id = serializers.CharField(source="event_id", help_text=EVENT_FIELDS["id"])

    class Meta:
        model = WorkflowEvent
        fields = list(EVENT_FIELDS)
        read_only_fields = fields
        extra_kwargs = described(EVENT_FIELDS)


class ClaimSerializer(FlatSerializer):
    """The event that a refused delivery claims to report."""

    class Meta:
        model = Claim
        fields = list(CLAIM_FIELDS)
        read_only_fields = fields
        extra_kwargs = described(CLAIM_FIELDS)


class DeliverySerializer(FlatSerializer):
    """A delivery without its headers or body."""

    event = serializers.CharField(source="event.event_id", allow_null=True, help_text=DELIVERY_FIELDS["event"])
    secret_position = serializers.IntegerField(allow_null=True, help_text=DELIVERY_FIELDS["secret_position"])
    address = serializers.CharField(source="webhook_slug", help_text=DELIVERY_FIELDS["address"])
    claim = ClaimSerializer(allow_null=True, help_text=DELIVERY_FIELDS["claim"])
    computed = ["claim"]

    class Meta:
        model = Delivery
        fields = list(DELIVERY_FIELDS)
        read_only_fields = fields
        extra_kwargs = described(DELIVERY_FIELDS)

    def to_representation(self, instance: Delivery) -> dict[str, Any]:
        """Return the object."""
        # Without this condition, the deliveries of an event, which are loaded without claims, would query for them.
        claim = getattr(instance, "claim", None) if instance.outcome in REFUSED else None
        return super().to_representation(instance) | {
            "claim": claim and self.fields["claim"].to_representation(claim),
        }


class AttemptSerializer(FlatSerializer):
    """A verdict on a delivery."""

    class Meta:
        model = Attempt
        fields = list(ATTEMPT_FIELDS)
        read_only_fields = fields
        extra_kwargs = described(ATTEMPT_FIELDS)


class EventDetailSerializer(WorkflowEventSerializer):
    """An event with its payload, its pipeline's other events and its deliveries."""

    # The context must hold the request: a part that the user may not view is null.
    payload = serializers.DictField(
        allow_null=True, help_text="The body that CircleCI sent; null if it was removed or if the user may not view it."
    )
    pipeline_events = WorkflowEventSerializer(
        many=True, help_text="The other events of its pipeline, oldest first, at most 100."
    )
    deliveries = DeliverySerializer(
        many=True,
        allow_null=True,
        help_text="Its deliveries, newest first, at most 100; null if the user may not view deliveries.",
    )
    duplicates = serializers.IntegerField(
        min_value=0,
        help_text="How many deliveries repeated it or an older version; at least the newest ten are stored.",
    )
    computed = ["payload", "pipeline_events", "deliveries", "duplicates"]

    class Meta(WorkflowEventSerializer.Meta):
        fields = [*EVENT_FIELDS, "payload", "pipeline_events", "deliveries", "duplicates"]

    def to_representation(self, instance: WorkflowEvent) -> dict[str, Any]:
        """Return the object."""
        request = self.context["request"]
        newest = instance.deliveries.newest_first().defer("body")[:MAX_RELATED]
        return super().to_representation(instance) | {
            "payload": _payload(instance) if may(request, VIEW_BODIES) else None,
            "pipeline_events": self.fields["pipeline_events"].to_representation(
                instance.of_same_pipeline()[:MAX_RELATED]
            ),
            "deliveries": (
                self.fields["deliveries"].to_representation(newest) if may(request, VIEW_DELIVERIES) else None
            ),
            "duplicates": instance.duplicates or 0,
        }


class DeliveryDetailSerializer(DeliverySerializer):
    """A delivery with its headers and every verdict on it."""

    headers = serializers.DictField(
        child=serializers.CharField(), help_text="The stored headers; their names are in lower case."
    )
    attempts = AttemptSerializer(
        many=True, help_text="Every verdict, the one on arrival first; empty before the first replay."
    )
    computed = ["claim", "attempts"]

    class Meta(DeliverySerializer.Meta):
        fields = [*DELIVERY_FIELDS, "headers", "attempts"]

    def to_representation(self, instance: Delivery) -> dict[str, Any]:
        """Return the object."""
        attempts = self.fields["attempts"].to_representation(instance.attempts.order_by("pk"))
        return super().to_representation(instance) | {"attempts": attempts}


@extend_schema_field({"type": "string", "contentEncoding": "base64"})
class Base64Field(serializers.CharField):
    """Bytes in base64."""


class StreamedDeliverySerializer(DeliverySerializer):
    """A delivery with everything needed to send it again."""

    # The context must hold the request.
    event = WorkflowEventSerializer(  # type: ignore[assignment]  # The whole object in place of its id.
        allow_null=True, help_text="Its event; null if the user may not view events."
    )
    cursor = serializers.CharField(help_text="Pass it as `after` to continue after this delivery.")
    headers = serializers.DictField(
        child=serializers.CharField(), help_text="The stored headers; their names are in lower case."
    )
    body_base64 = Base64Field(help_text="The body's bytes as they arrived, in base64.")
    computed = ["claim", "event", "cursor", "headers", "body_base64"]

    class Meta(DeliverySerializer.Meta):
        fields = [*DELIVERY_FIELDS, "cursor", "headers", "body_base64"]

    def to_representation(self, instance: Delivery) -> dict[str, Any]:
        """Return the object."""
        event = instance.event if may(self.context["request"], VIEW_EVENTS) else None
        return super().to_representation(instance) | {
            "event": event and self.fields["event"].to_representation(event),
            "cursor": encode_cursor(instance.pk),
            "headers": instance.headers,
            "body_base64": b64encode(instance.body).decode(),
        }


class StreamSerializer(serializers.Serializer[Any]):
    """A batch of deliveries."""

    deliveries = StreamedDeliverySerializer(many=True, help_text="In the order they were stored; often empty.")
    cursor = serializers.CharField(help_text="Pass it as `after` to continue.")

    def to_representation(self, instance: Any) -> dict[str, Any]:
        """Return the object for a batch."""
        # Most polls are empty, and creating the nested serializers takes far longer than using them.
        deliveries = self.fields["deliveries"].to_representation(instance.deliveries) if instance.deliveries else []
        return {"deliveries": deliveries, "cursor": encode_cursor(instance.end)}


class ReplaySerializer(Flat):
    """The changes that a replay has made or would make."""

    id = serializers.IntegerField(source="delivery.pk", help_text="The delivery's id.")
    before = serializers.ChoiceField(choices=Outcome.choices, help_text="The outcome before.")
    outcome = serializers.ChoiceField(source="verdict.outcome", choices=Outcome.choices, help_text="The new outcome.")
    reason = serializers.CharField(source="verdict.reason", allow_null=True, help_text=REASON)
    fixed = serializers.BooleanField(help_text="Whether it was refused before and is accepted now.")
    event = serializers.CharField(source="verdict.event_id", allow_null=True, help_text="The id of its event.")


def _payload(event: WorkflowEvent) -> Any:
    delivery = event.deliveries.of_shown_version()
    if delivery is None:
        return None
    try:
        text = json.dumps(parse_payload(bytes(delivery.body)), ensure_ascii=False)
    except PayloadMalformed:  # An older version of webhooklog accepted the body.
        return None
    # JSON can spell a lone surrogate, which UTF-8 cannot encode.
    return json.loads(text.encode("utf-8", "replace"))
