"""WorkflowEvent: one row for each event, with the columns that lists, filters and figures need."""

from datetime import datetime
from typing import Self

from django.db import models

from logs.circleci.payload import MAX_ID_LENGTH, MAX_SUBJECT_LENGTH, MAX_TEXT_LENGTH, MAX_URL_LENGTH
from logs.circleci.vocabulary import EventType


class WorkflowEventQuerySet(models.QuerySet["WorkflowEvent"]):
    """Queries over events."""

    def newest_first(self) -> Self:
        """Order by arrival, the latest first; the primary key makes the order total."""
        return self.order_by("-received_at", "-pk")

    def before(self, received_at: datetime, pk: int) -> Self:
        """Keep what stands after a place in the newest-first order."""
        return self.filter(received_at__lte=received_at).exclude(received_at=received_at, pk__gte=pk)

    def after(self, received_at: datetime, pk: int) -> Self:
        """Keep what stands before a place in the newest-first order."""
        return self.filter(received_at__gte=received_at).exclude(received_at=received_at, pk__lte=pk)


def text(verbose_name: str = "", max_length: int = MAX_TEXT_LENGTH) -> "models.CharField[str, str]":
    """Return a column of text that is ``""`` where the payload holds nothing."""
    return models.CharField(verbose_name or None, max_length=max_length, blank=True)


class WorkflowEvent(models.Model):
    """A workflow or job that ended, in the newest version that CircleCI sent of it.

    The columns are those of `logs.circleci.payload.Event`, which describes them, and two of the log's own. They are an
    index on the payload, whose bytes stay with the deliveries.
    """

    event_id = models.CharField("event id", max_length=MAX_ID_LENGTH)
    event_type = text("type")
    happened_at = models.DateTimeField(null=True, blank=True)
    stopped_at = models.DateTimeField(null=True, blank=True)
    name = text("webhook")
    project = text()
    project_slug = text()
    project_id = text()
    organization = text()
    workflow = text()
    workflow_id = text()
    job = text()
    job_number = models.BigIntegerField(null=True, blank=True)
    status = text()
    branch = text()
    tag = text()
    revision = text()
    commit_subject = text(max_length=MAX_SUBJECT_LENGTH)
    author = text()
    pipeline_id = text()
    pipeline_number = models.BigIntegerField(null=True, blank=True)
    trigger = text()
    duration_seconds = models.FloatField("duration", null=True, blank=True, help_text="In seconds.")
    url = text("in CircleCI", max_length=MAX_URL_LENGTH)

    received_at = models.DateTimeField(help_text="When the first delivery of the event arrived.")
    verified = models.BooleanField(help_text="Whether a signature proves that CircleCI sent the newest version.")

    objects = WorkflowEventQuerySet.as_manager()

    class Meta:
        verbose_name = "event"
        constraints = [
            # Not unique=True on the field, which would give PostgreSQL a second index that nothing uses.
            models.UniqueConstraint(fields=["event_id"], name="event_id_unique"),
            models.CheckConstraint(condition=models.Q(duration_seconds__gte=0), name="event_duration_not_negative"),
        ]
        indexes = [
            models.Index(fields=["-received_at", "-id"], name="event_newest"),
            models.Index(fields=["status", "-received_at", "-id"], name="event_status_newest"),
            models.Index(fields=["project", "-received_at", "-id"], name="event_project_newest"),
            models.Index(fields=["workflow_id"], name="event_workflow_id"),
            models.Index(fields=["pipeline_id"], name="event_pipeline_id"),
            models.Index(fields=["revision"], name="event_revision"),
        ]

    def __str__(self) -> str:
        subject = self.job if self.event_type == EventType.JOB_COMPLETED else self.workflow
        return " · ".join(filter(None, [self.project, subject, self.status])) or self.event_id
