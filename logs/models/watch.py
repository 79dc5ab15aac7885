"""The tasks of the watch (`logs.watch`): which process runs each of them, and how it went."""

from datetime import timedelta

from django.db import models

from logs.models.events import SETTLED_AFTER

FOLLOW = "follow"  # The task that finds state changes (`logs.standings`).
ALARMS = "alarms"  # The task that checks the alarms (`logs.notifications.alarms`).
FLAKY = "flaky"  # The task that finds flaky jobs (`logs.standings.flakes`).
SOURCES = "sources"  # The task that reads deliveries for the sources.
MAX_ERROR_LENGTH = 300
# How far ahead a watch extends its claims. After a watch was killed, another one can continue after this time.
LEASE = timedelta(seconds=20)
LONGEST_CLAIM = LEASE + SETTLED_AFTER  # As far ahead as a claim of another host can be, because clocks differ.


class WatchTask(models.Model):
    """A task of the watch. At most one process holds its claim."""

    name = models.CharField(max_length=32, primary_key=True)
    claim = models.CharField(max_length=32, blank=True, help_text="Identifies the process that runs it.")
    claimed_until = models.DateTimeField(null=True, help_text="Until then, no other process may run it.")
    cursor = models.JSONField(null=True, help_text="How far it has read.")
    last_started_at = models.DateTimeField(null=True)
    last_finished_at = models.DateTimeField(null=True, help_text="When it last ended without an error.")
    last_error = models.CharField(max_length=MAX_ERROR_LENGTH, blank=True, help_text="Empty if the last run succeeded.")

    def __str__(self) -> str:
        return self.name
