"""Flakes: jobs and workflows that both failed and succeeded on one commit."""

from django.db import models

from logs.models.events import text
from logs.models.standings import event_link


class Flake(models.Model):
    """A job, or a workflow, whose runs on one commit both failed and succeeded; stored for two weeks after the last."""

    project_slug = text()
    project = text()
    workflow = text()
    job = text()  # "" for the workflow itself.
    branch = text()
    revision = text()
    is_proven = models.BooleanField(help_text="Whether the runs were signed, or were read from CircleCI's API.")
    failures = models.PositiveIntegerField(help_text="How many of its runs on the commit failed.")
    failed = event_link("The last run that failed.")
    succeeded = event_link("The last run that succeeded.")
    first_failed_at = models.DateTimeField(help_text="When the first run that failed arrived.")
    seen_at = models.DateTimeField(help_text="When the newest of these runs arrived.")
    noted_at = models.DateTimeField(help_text="When the watch first found both.")

    class Meta:
        default_permissions = []
        constraints = [
            # The commit first: pages and the watch read the flakes of a commit.
            models.UniqueConstraint(fields=["revision", "project_slug", "workflow", "job"], name="flake_unique"),
        ]
        indexes = [
            models.Index(fields=["-seen_at", "-id"], name="flake_newest"),
            models.Index(fields=["project_slug", "-seen_at", "-id"], name="flake_project_slug"),
            models.Index(fields=["project", "-seen_at", "-id"], name="flake_project"),
        ]

    def __str__(self) -> str:
        return " · ".join(filter(None, [self.project, self.workflow, self.job, self.revision]))
