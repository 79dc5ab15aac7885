"""Rollups: what events add up to, hour by hour, so that figures over days read hundreds of rows and not millions.

`logs.insights.counting` writes them. An event counts in the hour in which its first delivery arrived, which never
changes, so that a newer version of it changes the sums of that one hour.
"""

from django.db import models

from logs.models.events import WorkflowEvent, text


class HourlyStatus(models.Model):
    """How many events of a type came to a status in an hour."""

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
    """A workflow that has run: known by its project's slug and its own name; a renamed project keeps its slug.

    It gives the sums a number to be grouped by, which takes a third of the time that the two texts took.
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
        """Whether a list can show its runs alone: a filter for nothing leaves those of all others too."""
        return bool(self.project_slug and self.name)


class HourlyWorkflow(models.Model):
    """How many runs of a workflow (jobs are not counted) came to a status in an hour, in about the same time each."""

    hour = models.DateTimeField(help_text="When the hour began.")
    workflow = models.ForeignKey(Workflow, on_delete=models.CASCADE, related_name="hours", db_index=False)
    status = text()
    duration_bucket = models.SmallIntegerField(
        null=True, help_text="Which of the growing spans of `logs.insights.buckets` it took; null: not known."
    )
    seconds = models.FloatField(help_text="How long the runs took, together.")
    count = models.PositiveIntegerField()

    class Meta:
        indexes = [
            models.Index(fields=["hour"], name="hourly_workflow_hour"),
            models.Index(fields=["workflow", "hour"], name="hourly_workflow_workflow"),
        ]

    def __str__(self) -> str:
        return f"{self.count} × {self.workflow} {self.status} at {self.hour:%Y-%m-%d %H:00}"


class HourlyLag(models.Model):
    """How many events that name a webhook arrived in an hour, about so long after they had happened each."""

    hour = models.DateTimeField(help_text="When the hour began.")
    webhook = text()
    verified = models.BooleanField(help_text="Whether a signature proves them: anybody may name a webhook.")
    lag_bucket = models.SmallIntegerField(null=True, help_text="As of a duration; null: nobody knows when it happened.")
    count = models.PositiveIntegerField()

    class Meta:
        indexes = [models.Index(fields=["hour"], name="hourly_lag_hour")]

    def __str__(self) -> str:
        return f"{self.count} × {self.webhook} at {self.hour:%Y-%m-%d %H:00}"


class Standing(models.Model):
    """How a workflow stands on a default branch: the finished run that arrived last, and since when it fails."""

    project_slug = text()
    project = text()
    workflow = text()
    branch = text()
    # Without constraints in the database: retention removes events without asking who points at them.
    last = models.ForeignKey(
        WorkflowEvent,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="+",
        db_index=False,
        help_text="The last run that succeeded or failed.",
    )
    broken_since = models.ForeignKey(
        WorkflowEvent,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="+",
        null=True,
        help_text="The first failed run after the last one that succeeded; null: the last one succeeded.",
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project_slug", "workflow", "branch"], name="standing_unique"),
        ]

    def __str__(self) -> str:
        return f"{self.project} · {self.workflow} · {self.branch}"


class RollupState(models.Model):
    """How far the rollups have been counted; there is one row at most."""

    counted_from = models.DateTimeField(help_text="The first hour that is counted; older ones are still to be counted.")
    counted_until = models.DateTimeField(
        help_text="What was written to events until then is counted, also where a count stopped early."
    )
    complete_until = models.DateTimeField(
        help_text="When a count last came to its end: nothing written before is still to be counted."
    )
    # The newest keys at the last count (logs.models.written): clocks can go back and differ, keys only grow. Null: the
    # version that counted did not record them.
    last_event = models.BigIntegerField(null=True)
    last_delivery = models.BigIntegerField(null=True)
    last_attempt = models.BigIntegerField(null=True)

    def __str__(self) -> str:
        return f"{self.counted_from:%Y-%m-%d %H:00} to {self.counted_until:%Y-%m-%d %H:%M:%S}"
