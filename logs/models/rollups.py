"""Rollups: hourly totals of events, so that figures for several days need hundreds of rows instead of millions.

`logs.insights.counting` writes them. An event counts towards the hour when its first delivery arrived. That hour never
changes, so a newer version of the event changes only that hour's sums.
"""

from django.db import models

from logs.circleci.payload import MAX_TEXT_LENGTH
from logs.models.events import text


class HourlyStatus(models.Model):
    """The number of events in an hour that have the same type and status."""

    hour = models.DateTimeField(help_text="When the hour began.")
    event_type = text()
    status = text()
    count = models.PositiveIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["hour", "event_type", "status"], name="hourly_status_unique"),
        ]

    def __str__(self) -> str:
        return f"{self.count} × {self.status} at {self.hour:%Y-%m-%d %H:00}"


class Workflow(models.Model):
    """A workflow that has run, identified by its project's slug and its name; a renamed project keeps its slug.

    Grouping sums by the workflow's key takes a third of the time of grouping by slug and name.
    """

    project_slug = text()
    name = text()
    project = text()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project_slug", "name"], name="workflow_unique")]

    def __str__(self) -> str:
        return f"{self.project} · {self.name}"

    @property
    def can_be_listed(self) -> bool:
        """Whether a list can show only this workflow's runs: a filter with an empty value has no effect."""
        return bool(self.project_slug and self.name)


class HourlyWorkflow(models.Model):
    """The number of a workflow's runs (not jobs) in an hour with the same status and about the same duration."""

    hour = models.DateTimeField(help_text="When the hour began.")
    workflow = models.ForeignKey(Workflow, on_delete=models.CASCADE, related_name="hours", db_index=False)
    status = text()
    on_default_branch = models.BooleanField(
        null=True, help_text="Whether they ran on a default branch of their project; null in sums of older releases."
    )
    duration_bucket = models.SmallIntegerField(
        null=True, help_text="The bucket of the duration (see `logs.insights.buckets`); null if unknown."
    )
    seconds = models.FloatField(help_text="The total duration of the runs.")
    count = models.PositiveIntegerField()

    class Meta:
        indexes = [
            models.Index(fields=["hour"], name="hourly_workflow_hour"),
            models.Index(fields=["workflow", "hour"], name="hourly_workflow_workflow"),
        ]

    def __str__(self) -> str:
        return f"{self.count} × {self.workflow} {self.status} at {self.hour:%Y-%m-%d %H:00}"


class SummedDay(models.Model):
    """A day (UTC) whose hourly sums of workflows are also added up in DailyWorkflow.

    Without it, the hours are read instead. Counting an hour again removes the hour's day.
    """

    began_at = models.DateTimeField(unique=True)

    class Meta:
        default_permissions = []

    def __str__(self) -> str:
        return f"{self.began_at:%Y-%m-%d}"


class DailyWorkflow(models.Model):
    """A workflow's runs (not jobs) on a day: one row, however often it ran."""

    day = models.ForeignKey(SummedDay, on_delete=models.CASCADE, related_name="workflows", db_index=False)
    workflow = models.ForeignKey(Workflow, on_delete=models.CASCADE, related_name="days", db_index=False)
    runs = models.PositiveIntegerField(help_text="All runs.")
    good = models.PositiveIntegerField(help_text="The runs that succeeded.")
    bad = models.PositiveIntegerField(help_text="The runs that failed.")
    timed = models.PositiveIntegerField(help_text="The runs that succeeded or failed, and whose duration is known.")
    seconds = models.FloatField(help_text="The total duration of the timed runs.")
    buckets = models.JSONField(help_text="The number of timed runs in each bucket of durations.")

    class Meta:
        default_permissions = []
        constraints = [models.UniqueConstraint(fields=["day", "workflow"], name="daily_workflow_unique")]
        indexes = [models.Index(fields=["workflow", "day"], name="daily_workflow_workflow")]

    def __str__(self) -> str:
        return f"{self.runs} × {self.workflow} on {self.day}"


class HourlyLag(models.Model):
    """The number of events in an hour of one webhook and project that arrived with about the same delay."""

    hour = models.DateTimeField(help_text="When the hour began.")
    webhook = text()
    verified = models.BooleanField(help_text="Whether they were signed; an unsigned event can name any webhook.")
    project_slug = models.CharField(
        max_length=MAX_TEXT_LENGTH,
        null=True,
        help_text="Empty for unsigned events, which can name any project; null in sums of older releases.",
    )
    lag_bucket = models.SmallIntegerField(null=True, help_text="The bucket of the delay; null if unknown.")
    count = models.PositiveIntegerField()

    class Meta:
        indexes = [
            # Has all columns of the figures for webhooks: their sums over projects need no sorting and no table.
            models.Index(fields=["hour", "webhook", "verified", "lag_bucket", "count"], name="hourly_lag_figures"),
            models.Index(fields=["webhook", "project_slug", "hour"], name="hourly_lag_source"),
        ]

    def __str__(self) -> str:
        return f"{self.count} × {self.webhook} at {self.hour:%Y-%m-%d %H:00}"


class RollupState(models.Model):
    """The progress of counting the rollups; there is at most one row."""

    counted_from = models.DateTimeField(help_text="The first counted hour; earlier hours are still to be counted.")
    counted_until = models.DateTimeField(
        help_text="Everything written to events until then is counted, even if the last count stopped early."
    )
    complete_until = models.DateTimeField(
        help_text="When a count last finished: everything written to events before is counted."
    )
    # The newest keys at the last count (logs.models.written): clocks can be set back and differ, but keys only grow.
    # Null if the release that counted did not record them.
    last_event = models.BigIntegerField(null=True)
    last_delivery = models.BigIntegerField(null=True)
    last_attempt = models.BigIntegerField(null=True)

    def __str__(self) -> str:
        return f"{self.counted_from:%Y-%m-%d %H:00} to {self.counted_until:%Y-%m-%d %H:%M:%S}"
