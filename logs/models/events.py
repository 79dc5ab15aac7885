"""WorkflowEvent: one row per event, with the columns that lists, filters and figures need."""

import re
from datetime import timedelta
from functools import reduce
from operator import or_
from typing import Self

from django.db import connection, models
from django.db.models import F, Func, Q

from logs.circleci.pages import job_page
from logs.circleci.payload import MAX_ID_LENGTH, MAX_SUBJECT_LENGTH, MAX_TEXT_LENGTH, MAX_URL_LENGTH
from logs.circleci.vocabulary import PROVIDER_SPELLINGS, EventType
from logs.models.unindexed import unindexed

# How long after `changed_at` a transaction may still be uncommitted, and how far two hosts' clocks may differ.
# A transaction ends sooner, because of PostgreSQL's timeouts (databases.py).
SETTLED_AFTER = timedelta(minutes=1)

LAST_CHARACTER = "\U0010ffff"
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

_HEXADECIMAL = re.compile(r"[0-9a-fA-F]+")
_PROVIDER = "|".join(PROVIDER_SPELLINGS)
_PROJECT_PAGE = re.compile(rf"https?://[^/]+/(?:[^?#]*?/)?((?:{_PROVIDER})/[^/?#]+/[^/?#]+)", re.IGNORECASE)


class LeastIfMissing(Func):
    """A column with the lowest value in place of NULL, as a literal: otherwise, SQLite would not use the index."""

    def __init__(self, column: str, least: str, output_field: "models.Field[object, object]") -> None:
        super().__init__(F(column), template=f"COALESCE(%(expressions)s, {least})", output_field=output_field)


HAPPENED_AT = LeastIfMissing("happened_at", "'0001-01-01 00:00:00'", models.DateTimeField())
DURATION = LeastIfMissing("duration_seconds", "-1.0", models.FloatField())


def project_named(text: str) -> tuple[str, str]:
    """Return the column that identifies a project, and the column's value.

    Args:
        text: the project's name, its id (in any case), its slug with a full or abbreviated provider, or the URL of
            one of its pages on CircleCI.
    """
    page = _PROJECT_PAGE.match(text)
    name = page[1] if page else text
    provider, slash, rest = name.partition("/")
    if slash:
        return "project_slug", f"{PROVIDER_SPELLINGS.get(provider.lower(), provider)}/{rest}"
    return ("project_id", name.lower()) if UUID.fullmatch(name.lower()) else ("project", name)


def spellings_of_id(text: str) -> list[str]:
    """Return an id as given and, if it is a UUID, also in lower case, as CircleCI writes UUIDs."""
    lower = text.lower()
    return [text, lower] if text != lower and UUID.fullmatch(lower) else [text]


class WorkflowEventQuerySet(models.QuerySet["WorkflowEvent"]):
    """Queries over events."""

    def newest_first(self) -> Self:
        """Order by arrival, newest first; the primary key makes the order total."""
        return self.order_by("-received_at", "-pk")

    def of_revision(self, prefix: str) -> Self:
        """Keep events for commits whose hash starts with `prefix`, in any case."""
        return self.filter(revision_starts_with(prefix))


def revision_starts_with(prefix: str) -> Q:
    """Return the condition for a commit hash that starts with `prefix`, in any case; an index serves it."""
    spellings = {prefix, prefix.lower(), prefix.upper()} if _HEXADECIMAL.fullmatch(prefix) else {prefix}
    return reduce(or_, map(_starts_with, sorted(spellings)))


def _starts_with(prefix: str) -> Q:
    if connection.vendor == "sqlite":
        # SQLite's LIKE ignores case and therefore does not use the index.
        return Q(revision__gte=prefix, revision__lt=prefix + LAST_CHARACTER)
    return Q(revision__startswith=prefix)


def text(verbose_name: str = "", max_length: int = MAX_TEXT_LENGTH) -> "models.CharField[str, str]":
    """Return a text column that holds ``""`` if the payload has no value."""
    return models.CharField(verbose_name or None, max_length=max_length, blank=True)


class Origin(models.TextChoices):
    """The sources of events."""

    WEBHOOK = "webhook", "webhook"
    API = "api", "API"
    IMPORT = "import", "import"


class WorkflowEvent(models.Model):
    """A completed workflow or job, in the newest version that CircleCI sent.

    `logs.circleci.payload.Event` describes all columns except the last five. The columns are an index of the payload,
    whose bytes are stored in the deliveries.
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
    changed_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="When its columns were last written; empty if the release that wrote them did not record it.",
    )
    duplicates = models.PositiveIntegerField(
        null=True,
        blank=True,
        help_text="Number of deliveries that repeated this event or an older version of it; empty if none.",
    )

    origin = models.CharField(
        max_length=10,
        choices=Origin.choices,
        null=True,
        blank=True,
        help_text="Where its newest version comes from; empty means a webhook: older releases did not record it.",
    )

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
            models.Index(HAPPENED_AT, "id", name="event_happened"),
            models.Index(DURATION, "id", name="event_duration"),
            *(
                models.Index(fields=[column, "-received_at", "-id"], name=f"event_{column}_newest")
                for column in ("status", "project", "project_slug", "project_id", "workflow", "job", "branch", "author")
            ),
            # Few events share a value of these columns, so sorting them is cheap.
            *(
                models.Index(fields=[column], name=f"event_{column}")
                for column in ("tag", "pipeline_number", "workflow_id", "pipeline_id")
            ),
            # For prefixes, which an index in PostgreSQL's default order does not support.
            models.Index(fields=["revision"], name="event_revision", opclasses=["varchar_pattern_ops"]),
            models.Index(fields=["changed_at"], name="event_changed"),
            models.Index(
                fields=["project_slug", "workflow", "branch", "-received_at", "-id"],
                name="event_workflow_runs",
                condition=models.Q(event_type=EventType.WORKFLOW_COMPLETED),
            ),
        ]

    def __str__(self) -> str:
        subject = self.job if self.event_type == EventType.JOB_COMPLETED else self.workflow
        return " · ".join(filter(None, [self.project, subject, self.status])) or self.event_id

    @property
    def circleci_url(self) -> str:
        """The URL of its page in CircleCI: a job's own page if it is known, or the workflow's; "" if unknown."""
        return job_page(self.url, self.job_number) if self.event_type == EventType.JOB_COMPLETED else self.url

    def of_same_pipeline(self) -> models.QuerySet["WorkflowEvent"]:
        """Return the pipeline's other events (workflows, reruns and jobs), oldest first."""
        if not self.pipeline_id:
            return WorkflowEvent.objects.none()
        # Without the slug, another project's sender could claim the pipeline's id and appear in this project's run.
        # The expression keeps SQLite from the index on the slug, in which it would read all the project's events.
        others = WorkflowEvent.objects.alias(slug=unindexed("project_slug")).filter(
            pipeline_id=self.pipeline_id, slug=self.project_slug
        )
        others = others.exclude(pk=self.pk)
        return others.order_by("received_at", "pk")
