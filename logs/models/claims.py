"""Claim: what a refused delivery says about its event."""

from django.db import models

from logs.circleci.payload import Event
from logs.models.deliveries import Delivery
from logs.models.events import text


class Claim(models.Model):
    """The event that the body of a refused delivery names. Nothing proves it: any client can send any body.

    The columns are those of `WorkflowEvent`. A claim is deleted with its delivery, or once a replay accepts it.
    """

    # Without a constraint in the database: the previous version, which still runs during an upgrade, deletes deliveries
    # without their claims.
    delivery = models.OneToOneField(Delivery, on_delete=models.CASCADE, primary_key=True, db_constraint=False)
    project = text()
    project_slug = text()
    project_id = text()
    workflow = text()
    job = text()
    job_number = models.BigIntegerField(null=True, blank=True)
    status = text()
    branch = text()
    revision = text()
    pipeline_number = models.BigIntegerField(null=True, blank=True)

    class Meta:
        default_permissions = []
        indexes = [
            models.Index(fields=["pipeline_number"], name="claim_pipeline_number"),
            # For prefixes, as for events.
            models.Index(fields=["revision"], name="claim_revision", opclasses=["varchar_pattern_ops"]),
        ]

    def __str__(self) -> str:
        return " · ".join(filter(None, [self.project_slug or self.project, self.job or self.workflow, self.status]))


CLAIMED = [column.name for column in Claim._meta.concrete_fields if not column.primary_key]


def claim_of(delivery: Delivery, event: Event) -> Claim | None:
    """Return the unsaved claim of a delivery; None if its body names nothing that can be searched for."""
    columns = {name: getattr(event, name) for name in CLAIMED}
    return Claim(delivery=delivery, **columns) if any(columns.values()) else None
