"""Standings: the state of each workflow on each branch, and the changes of that state."""

from datetime import datetime, timedelta
from typing import Any, Self, TypeVar

from django.db import models

from logs.circleci.payload import MAX_SUBJECT_LENGTH
from logs.circleci.vocabulary import Tone
from logs.conf import is_default_branch
from logs.models.events import WorkflowEvent, text

# A renamed or removed workflow never succeeds again. After this time without a run, a broken branch is not shown as
# broken any more, and reminders end.
RESTING_AFTER = timedelta(days=30)
TONES = [(Tone.GOOD, "good"), (Tone.BAD, "bad")]

Rows = TypeVar("Rows", bound=models.QuerySet[Any])


def event_link(help_text: str) -> "models.ForeignKey[WorkflowEvent | None, WorkflowEvent | None]":
    """Return a link to an event without a constraint in the database, because retention does not check references."""
    return models.ForeignKey(
        WorkflowEvent,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="+",
        null=True,
        blank=True,
        help_text=help_text,
    )


def _with_ids(rows: Rows, *links: str) -> Rows:
    """Load the events behind links, but only their ids; an event that retention has deleted is None."""
    columns = [column.name for column in rows.model._meta.concrete_fields]
    return rows.select_related(*links).only(*columns, *(f"{link}__event_id" for link in links))


class StandingQuerySet(models.QuerySet["Standing"]):
    """Queries over standings."""

    def judged(self) -> Self:
        """Keep the standings that `logs.standings` has written; releases before it left the columns empty."""
        return self.exclude(tone="")

    def broken(self, now: datetime) -> Self:
        """Keep branches that are broken and not resting: those with a run within RESTING_AFTER."""
        return self.filter(tone=Tone.BAD, last_run_at__gte=now - RESTING_AFTER)

    def for_lists(self) -> Self:
        """Load the ids of the runs too; leave out standings without a run, which have no position in a list's order."""
        return _with_ids(self.filter(last_run_at__isnull=False), "last", "last_good", "broken_since")


class Standing(models.Model):
    """The state of a workflow on a branch, decided by the run of the newest pipeline that succeeded or failed."""

    project_slug = text()
    project = text()
    project_id = models.CharField(max_length=255, blank=True, default="", db_default="")
    workflow = text()
    branch = text()
    tone = models.CharField(
        max_length=4,
        choices=TONES,
        blank=True,
        default="",
        db_default="",
        help_text="Whether the deciding run succeeded (`good`) or failed (`bad`).",
    )
    last = event_link("The run that decides.")
    is_proven = models.BooleanField(
        null=True, help_text="Whether the deciding run was signed, or was read from CircleCI's API."
    )
    pipeline_number = models.BigIntegerField(null=True, help_text="The number of the deciding run's pipeline.")
    stopped_at = models.DateTimeField(null=True, help_text="When the deciding run stopped.")
    last_good = event_link("The last run that succeeded.")
    last_good_at = models.DateTimeField(null=True, help_text="When the last run that succeeded ended.")
    broken_since = event_link("The first failed run after the last one that succeeded; null if it is not broken.")
    broken_at = models.DateTimeField(null=True, help_text="When the first of these failed runs ended.")
    failures = models.PositiveIntegerField(default=0, db_default=0, help_text="How many runs in a row have failed.")
    last_run_at = models.DateTimeField(null=True, help_text="When the newest finished run arrived.")

    objects = StandingQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project_slug", "workflow", "branch"], name="standing_unique"),
            models.CheckConstraint(
                condition=models.Q(tone=Tone.BAD, failures__gt=0) | (~models.Q(tone=Tone.BAD) & models.Q(failures=0)),
                name="standing_bad_has_failures",
            ),
        ]
        indexes = [
            models.Index(fields=["last_run_at", "id"], name="standing_last_run"),
            models.Index(fields=["last_run_at"], name="standing_bad", condition=models.Q(tone=Tone.BAD)),
            models.Index(fields=["project_slug", "-last_run_at", "-id"], name="standing_project"),
        ]

    def __str__(self) -> str:
        return f"{self.project} · {self.workflow} · {self.branch}"

    @property
    def is_on_default_branch(self) -> bool:
        """Whether the branch is one of its project's default branches."""
        return is_default_branch(self.project_slug, self.branch)


class ChangeKind(models.TextChoices):
    """How the state of a workflow on a branch changed."""

    BROKE = "broke", "broke"
    FIXED = "fixed", "fixed"


class StateChangeQuerySet(models.QuerySet["StateChange"]):
    """Queries over state changes."""

    def for_lists(self) -> Self:
        """Load the ids of the runs too."""
        return _with_ids(self, "event")


class StateChange(models.Model):
    """A workflow that broke or was fixed on a branch; stored as long as events."""

    project_slug = text()
    project = text()
    workflow = text()
    branch = text()
    kind = models.CharField(max_length=5, choices=ChangeKind.choices)
    event = event_link("The run that changed the state.")
    pipeline_number = models.BigIntegerField(null=True)
    revision = text()
    author = text()
    subject = text(max_length=MAX_SUBJECT_LENGTH)
    happened_at = models.DateTimeField(help_text="When the run ended.")
    noted_at = models.DateTimeField(help_text="When the watch recorded the change.")
    broken_for_seconds = models.FloatField(null=True, help_text="How long the workflow was broken; null if unknown.")
    failures = models.PositiveIntegerField(help_text="How many runs in a row had failed, or 1 when it broke.")
    quiet_reason = models.CharField(
        max_length=200, blank=True, help_text="Why nothing reports it; empty if it is loud."
    )

    objects = StateChangeQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["event", "kind"], name="change_unique")]
        indexes = [
            models.Index(fields=["project_slug", "workflow", "branch", "-id"], name="change_branch"),
            models.Index(fields=["-happened_at", "-id"], name="change_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.project} · {self.workflow} {self.kind} on {self.branch}"
