"""Events in the admin."""

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString

from logs.admin.deliveries import fieldset_for
from logs.admin.inspector import EMPTY, InspectorAdmin, pill, pretty_body
from logs.circleci.vocabulary import STATUS_TONES, EventType, tone_of
from logs.models import WorkflowEvent
from logs.permissions import VIEW_BODIES, VIEW_DELIVERIES

SHOWN_DELIVERIES = 50
SHORT_REVISION_LENGTH = 7


class KnownWordsFilter(admin.SimpleListFilter):
    """Filters by the words that CircleCI is known to send; asking the table for its own would read all of it."""

    parameter_name: str
    words: list[str]

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the choices."""
        return [(word, word) for word in self.words]

    def queryset(self, request: HttpRequest, queryset: QuerySet[WorkflowEvent]) -> QuerySet[WorkflowEvent]:
        """Keep the rows with the chosen word."""
        return queryset.filter(**{self.parameter_name: self.value()}) if self.value() else queryset


class StatusFilter(KnownWordsFilter):
    """Filters by status."""

    title = "status"
    parameter_name = "status"
    words = list(STATUS_TONES)


class EventTypeFilter(KnownWordsFilter):
    """Filters by the type of event."""

    title = "type"
    parameter_name = "event_type"
    words = [EventType.WORKFLOW_COMPLETED, EventType.JOB_COMPLETED]


@admin.register(WorkflowEvent)
class WorkflowEventAdmin(InspectorAdmin):
    """Shows events, newest first, and all that is known of each."""

    list_display = [
        "received_at",
        "status_pill",
        "subject",
        "project",
        "branch_or_tag",
        "commit",
        "author",
        "duration",
        "pipeline",
    ]
    list_display_links = ["received_at", "subject"]
    list_filter = [StatusFilter, EventTypeFilter, "verified"]
    # Exact matches, because each of these columns has an index that serves them.
    search_fields = [f"{column}__exact" for column in ("event_id", "workflow_id", "pipeline_id", "revision", "project")]
    search_help_text = (
        "A whole id (event, workflow, pipeline), a whole commit hash, or a project's name (with a space: in quotes)."
    )
    ordering = ["-received_at", "-pk"]
    fieldsets = [
        (None, {"fields": ["status_pill", "subject", "project", "branch_or_tag", "duration", "pipeline"]}),
        ("Commit", {"fields": ["revision", "commit_subject", "author"]}),
        ("When", {"fields": ["happened_at", "stopped_at", "received_at"]}),
        ("Run", {"fields": ["event_type", "trigger", "job_number", "name", "verified"]}),
        (
            "Ids",
            {
                "classes": ["collapse"],
                "fields": ["event_id", "workflow_id", "pipeline_id", "project_slug", "project_id", "organization"],
            },
        ),
    ]

    def get_fieldsets(self, request: HttpRequest, obj: WorkflowEvent | None = None) -> Any:
        """Show the deliveries and the payload to those who may see them."""
        return [
            *self.fieldsets,
            fieldset_for(request, VIEW_DELIVERIES, "Deliveries", "deliveries"),
            fieldset_for(request, VIEW_BODIES, "Payload", "payload"),
        ]

    @admin.display(description="status", ordering="status")
    def status_pill(self, event: WorkflowEvent) -> SafeString | str:
        """Show the status in its colour."""
        return pill(event.status, tone_of(event.status))

    @admin.display(description="workflow or job")
    def subject(self, event: WorkflowEvent) -> str:
        """Show what ended."""
        return " › ".join(filter(None, [event.workflow, event.job])) or event.event_id

    @admin.display(description="branch or tag")
    def branch_or_tag(self, event: WorkflowEvent) -> str:
        """Show what was built."""
        return event.branch or event.tag or EMPTY

    @admin.display(description="commit")
    def commit(self, event: WorkflowEvent) -> SafeString:
        """Show the commit's hash in short and its subject."""
        return format_html(
            '<code>{}</code> <span class="subject" title="{}">{}</span>',
            event.revision[:SHORT_REVISION_LENGTH],
            event.commit_subject,
            event.commit_subject,
        )

    @admin.display(description="duration", ordering="duration_seconds")
    def duration(self, event: WorkflowEvent) -> str:
        """Show the duration in hours, minutes and seconds."""
        if event.duration_seconds is None:
            return EMPTY
        return str(timedelta(seconds=round(event.duration_seconds)))

    @admin.display(description="pipeline", ordering="pipeline_number")
    def pipeline(self, event: WorkflowEvent) -> SafeString | str:
        """Show the pipeline's number, which opens the workflow in CircleCI; its address is http(s) only."""
        number = EMPTY if event.pipeline_number is None else f"#{event.pipeline_number}"
        if not event.url:
            return number
        return format_html(
            '<a href="{}" rel="noopener noreferrer" target="_blank">{} in CircleCI</a>', event.url, number
        )

    @admin.display(description="deliveries")
    def deliveries(self, event: WorkflowEvent) -> str:
        """List the newest deliveries that told of the event."""
        newest = list(event.deliveries.newest_first().defer("body")[: SHOWN_DELIVERIES + 1])
        context = {"deliveries": newest[:SHOWN_DELIVERIES], "has_more": len(newest) > SHOWN_DELIVERIES}
        return render_to_string("logs/admin/deliveries.html", context)

    @admin.display(description="payload")
    def payload(self, event: WorkflowEvent) -> str:
        """Show the payload of the newest version."""
        delivery = event.deliveries.of_shown_version()
        return pretty_body(bytes(delivery.body)) if delivery else "Retention has removed the delivery that held it."
