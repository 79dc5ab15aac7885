"""Rules: which changes, runs, jobs and alarms are sent to which channels. Alarms: problems of the log itself."""

from typing import Self

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone

from logs.models.notifications import Channel

MAX_AFTER_FAILURES = 20
DEFAULT_BRANCH = "<default>"  # In a rule's branches: the default branches of each project.


class Subject(models.TextChoices):
    """What a rule reports."""

    CHANGES = "changes", "changes"  # A workflow broke or was fixed on a branch.
    RUNS = "runs", "each run"  # A workflow ended.
    JOBS = "jobs", "each job"  # A job ended.
    LOG = "log", "the log itself"  # An alarm.


class AlarmKind(models.TextChoices):
    """The problems of the log itself."""

    SILENCE = "silence", "a source is silent"
    REFUSALS = "refusals", "deliveries are refused"
    CHANNEL = "channel", "a channel is disabled"
    WATCH = "watch", "the watch fails or was stopped"
    TOKEN = "token", "an API token expires soon"
    SECRET = "secret", "an old webhook secret is still in use"


class RuleQuerySet(models.QuerySet["Rule"]):
    """Queries over rules."""

    def active(self, subject: Subject) -> Self:
        """Keep the enabled rules for a subject, and load their channels."""
        return self.filter(enabled=True, subject=subject).prefetch_related("channels").order_by("pk")


def _patterns(help_text: str) -> "models.TextField[str, str]":
    return models.TextField(blank=True, help_text=f"{help_text} One pattern per line; ! excludes. Empty: any.")


class Rule(models.Model):
    """Which changes, runs, jobs or alarms are sent to which channels. Patterns are globs, one per line."""

    name = models.CharField(max_length=100, unique=True)
    enabled = models.BooleanField(default=True)
    subject = models.CharField(max_length=10, choices=Subject, default=Subject.CHANGES)
    projects = _patterns("Project slugs, such as github/acme/*.")
    workflows = _patterns("Names of workflows.")
    branches = _patterns(f"Branches; {DEFAULT_BRANCH} stands for each project's default branches.")
    tags = _patterns("Tags, for runs and jobs.")
    authors = _patterns("Authors of commits.")
    statuses = models.JSONField(default=list, blank=True, help_text="Statuses of runs and jobs. Empty: any.")
    on_broke = models.BooleanField("broke", default=True)
    on_fixed = models.BooleanField("fixed", default=True)
    after_failures = models.PositiveSmallIntegerField(
        default=1,
        validators=[MinValueValidator(1), MaxValueValidator(MAX_AFTER_FAILURES)],
        help_text="How many runs in a row must fail before it is reported.",
    )
    remind_every_hours = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        help_text="While a workflow stays broken, report it again each time this many hours have passed.",
    )
    allow_unverified = models.BooleanField(default=False, help_text="Whether unsigned events are reported too.")
    alarms = models.JSONField(default=list, blank=True, help_text="The kinds of alarms that are reported.")
    channels = models.ManyToManyField(Channel, related_name="rules", blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+", editable=False
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    changed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+", editable=False
    )
    changed_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = RuleQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=~models.Q(subject=Subject.CHANGES) | models.Q(on_broke=True) | models.Q(on_fixed=True),
                name="rule_reports_something",
            ),
            models.CheckConstraint(
                condition=models.Q(after_failures__gte=1, after_failures__lte=MAX_AFTER_FAILURES),
                name="rule_after_failures_in_range",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class AlarmQuerySet(models.QuerySet["Alarm"]):
    """Queries over alarms."""

    def open(self) -> Self:
        """Keep the alarms that are not over."""
        return self.filter(closed_at=None)


class Alarm(models.Model):
    """A problem of the log itself, from its beginning to its end."""

    kind = models.CharField(max_length=10, choices=AlarmKind)
    key = models.CharField(max_length=255, help_text="What it is about; at most one alarm about it is open.")
    opened_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, help_text="Null while it is open.")
    detail = models.JSONField(default=dict, help_text="What the messages about it say.")

    objects = AlarmQuerySet.as_manager()

    class Meta:
        default_permissions = ["view"]
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "key"], name="alarm_open_unique", condition=models.Q(closed_at__isnull=True)
            )
        ]
        indexes = [models.Index(fields=["-opened_at", "-id"], name="alarm_newest")]

    def __str__(self) -> str:
        return f"{self.kind}: {self.key}"
