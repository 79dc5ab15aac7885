"""Leases: one process at a time runs a task, however many watches run on however many hosts.

If clocks differ or a process is suspended, two processes may briefly believe that they have the same lease. A task that
this would harm calls `Lease.renew` in each of its transactions.
"""

import time
from datetime import datetime
from secrets import token_hex
from typing import Any

from django.db.models import Q
from django.utils import timezone

from logs.models import WatchTask
from logs.models.watch import LEASE, LONGEST_CLAIM, MAX_ERROR_LENGTH

RENEW_AFTER_SECONDS = 8
RETRY_AFTER_SECONDS = 5


class LeaseLost(Exception):
    """Another process has the lease now."""


class Lease:
    """One process's claim on a task, and the progress that its next statement will record.

    A process keeps its leases and renews them, so a task that runs every second costs no statement per run.
    """

    cursor: Any = None  # How far the task has read, as JSON.
    started_at: datetime | None = None
    finished_at: datetime | None = None
    error = ""

    def __init__(self, task: str) -> None:
        self.task = task
        self._claim = token_hex(16)
        self._is_held = False
        self._next_at = 0.0  # When the next statement is due, by time.monotonic().

    def hold(self) -> bool:
        """Return whether this process has the lease; claim or renew it if it is time."""
        if time.monotonic() >= self._next_at:
            if self._is_held:
                self.renew()
            else:
                self._is_held = self._acquire()
                self._next_at = time.monotonic() + (RENEW_AFTER_SECONDS if self._is_held else RETRY_AFTER_SECONDS)
        return self._is_held

    def renew(self) -> None:
        """Extend the lease and record the task's progress; in a transaction, also keep others from claiming it.

        Raises:
            LeaseLost: another process has claimed the task.
        """
        now = timezone.now()
        renewed = WatchTask.objects.filter(name=self.task, claim=self._claim).update(
            claimed_until=now + LEASE, **self._record()
        )
        if not renewed:
            self._is_held = False
            raise LeaseLost(f"another process has claimed the task {self.task}")
        self._next_at = time.monotonic() + RENEW_AFTER_SECONDS

    def renew_soon(self) -> None:
        """Let the next `hold` renew the lease, to record what has happened."""
        self._next_at = 0.0

    def release(self) -> None:
        """Let another process claim the task immediately."""
        if self._is_held:
            self._is_held = False
            now = timezone.now()
            WatchTask.objects.filter(name=self.task, claim=self._claim).update(claimed_until=now, **self._record())

    def _acquire(self) -> bool:
        WatchTask.objects.get_or_create(name=self.task)
        now = timezone.now()
        # A claim far in the future was made by a clock that was ahead.
        is_free = Q(claimed_until=None) | Q(claimed_until__lte=now) | Q(claimed_until__gt=now + LONGEST_CLAIM)
        free = WatchTask.objects.filter(is_free, name=self.task)
        if not free.update(claim=self._claim, claimed_until=now + LEASE):
            return False
        known = WatchTask.objects.get(name=self.task)
        self.cursor, self.error = known.cursor, known.last_error
        self.started_at, self.finished_at = known.last_started_at, known.last_finished_at
        return True

    def _record(self) -> dict[str, Any]:
        return {
            "cursor": self.cursor,
            "last_started_at": self.started_at,
            "last_finished_at": self.finished_at,
            "last_error": self.error[:MAX_ERROR_LENGTH],
        }
