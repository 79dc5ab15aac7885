"""Counters for /metrics: numbers that never fall, although rows are deleted and verdicts and statuses change."""

from django.db import models

from logs.models.deliveries import Outcome
from logs.models.events import text


class DeliveryCounter(models.Model):
    """The number of deliveries that had an outcome when they arrived."""

    outcome = models.CharField(max_length=20, choices=Outcome, primary_key=True)
    count = models.BigIntegerField(default=0)

    class Meta:
        default_permissions = []

    def __str__(self) -> str:
        return f"{self.count} × {self.outcome}"


class EventCounter(models.Model):
    """The number of events that had a type and a status when they were counted."""

    event_type = text()
    status = text()
    count = models.BigIntegerField(default=0)

    class Meta:
        default_permissions = []
        constraints = [models.UniqueConstraint(fields=["event_type", "status"], name="event_counter_unique")]

    def __str__(self) -> str:
        return f"{self.count} × {self.event_type} {self.status}"


class CounterProgress(models.Model):
    """How far the rows of a table have been counted."""

    table = models.CharField(max_length=32, primary_key=True)
    last_key = models.BigIntegerField(default=0, help_text="The rows up to this key have been counted.")
    is_complete = models.BooleanField(
        default=False, help_text="Whether the rows from before the first count have been counted."
    )

    class Meta:
        default_permissions = []

    def __str__(self) -> str:
        return f"{self.table} up to {self.last_key}"
