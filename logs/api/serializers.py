"""Events as the flat objects of the list."""

from typing import Any

from rest_framework import serializers

from logs.models import WorkflowEvent


class WorkflowEventSerializer(serializers.ModelSerializer[WorkflowEvent]):
    """An event with the tutorial's four names first; whatever is missing is null."""

    id = serializers.CharField(source="event_id")

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

    def to_representation(self, instance: WorkflowEvent) -> dict[str, Any]:
        """Return the event's object, with null for the empty texts that the columns hold for missing ones."""
        return {name: None if value == "" else value for name, value in super().to_representation(instance).items()}
