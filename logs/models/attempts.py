"""Attempt: one verdict on a refused delivery, reached on arrival or by a replay."""

from django.db import models

from logs.models.deliveries import Delivery, Outcome


class Attempt(models.Model):
    """One verdict on a delivery; the first is reached when the delivery arrives."""

    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="attempts")
    attempted_at = models.DateTimeField()
    outcome = models.CharField(max_length=20, choices=Outcome)
    reason = models.TextField(blank=True)
    actor = models.CharField(max_length=150, blank=True, help_text="The user who replayed it; empty for the arrival.")

    def __str__(self) -> str:
        return f"{self.outcome} at {self.attempted_at:%Y-%m-%d %H:%M:%S} UTC"
