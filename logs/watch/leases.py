"""Leases: one process at a time runs a task, however many watches run on however many hosts.

If clocks differ or a process is suspended, two processes may briefly believe that they have the same lease. A task that
this would harm calls `Lease.renew` in each of its transactions.
"""

import time
from datetime import datetime
from secrets import token_hex
from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone

from logs.models import WatchTask
from logs.models.watch import LEASE, LONGEST_CLAIM, MAX_ERROR_LENGTH

RENEW_AFTER_SECONDS = 8
RETRY_AFTER_SECONDS = 5
WRITTEN_COLUMNS = ["claimed_until", "cursor", "last_started_at", "last_finished_at", "last_error"]


class LeaseLost(Exception):
    """Another process has the lease now."""


class Process:
    """A process of the watch: its leases have the same claim and are renewed together."""

    def __init__(self) -> None:
        self.claim = token_hex(16)
        self.held: dict[str, Lease] = {}  # By task.


class Lease:
    """One process's claim on a task, and the progress that its next statement will record.

    A process keeps its leases and renews all of them in one statement, so a task that runs every second costs no
    statement per run.
    """

    cursor: Any = None  # How far the task has read, as JSON.
    started_at: datetime | None = None
    finished_at: datetime | None = None
    error = ""

    def __init__(self, task: str, process: Process | None = None) -> None:
        self.task = task
        self._process = process or Process()
        self._next_at = 0.0  # When the next statement is due, by time.monotonic().

    def hold(self) -> bool:
        """Return whether this process has the lease; claim or renew it if it is time."""
        if time.monotonic() >= self._next_at:
            if self._is_held:
                self._renew_all()
            else:
                is_acquired = self._acquire()
                if is_acquired:
                    self._process.held[self.task] = self
                self._next_at = time.monotonic() + (RENEW_AFTER_SECONDS if is_acquired else RETRY_AFTER_SECONDS)
        return self._is_held

    def renew(self) -> None:
        """Extend the lease and record the task's progress; in a transaction, also keep others from claiming it.

        Raises:
            LeaseLost: another process has claimed the task.
        """
        if not self._row.update(claimed_until=timezone.now() + LEASE, **self._record()):
            self._process.held.pop(self.task, None)
            raise LeaseLost(f"another process has claimed the task {self.task}")
        self._next_at = time.monotonic() + RENEW_AFTER_SECONDS

    def _renew_all(self) -> None:
        """Renew all leases of the process.

        Raises:
            LeaseLost: another process has claimed the task.
        """
        held, until = list(self._process.held.values()), timezone.now() + LEASE
        rows = [WatchTask(name=lease.task, claimed_until=until, **lease._record()) for lease in held]  # noqa: SLF001 - own class
        own = WatchTask.objects.filter(claim=self._process.claim)
        if own.bulk_update(rows, WRITTEN_COLUMNS) < len(rows):
            self.renew()  # Another process has claimed some of the tasks. Each lease finds out for itself.
            return
        for lease in held:
            lease._next_at = time.monotonic() + RENEW_AFTER_SECONDS  # noqa: SLF001 - own class

    @property
    def _is_held(self) -> bool:
        return self.task in self._process.held

    @property
    def _row(self) -> QuerySet[WatchTask]:
        """The task's row, unless another process has claimed it."""
        return WatchTask.objects.filter(name=self.task, claim=self._process.claim)

    def renew_soon(self) -> None:
        """Let the next `hold` renew the lease, to record what has happened."""
        self._next_at = 0.0

    def release(self) -> None:
        """Let another process claim the task immediately."""
        if self._is_held:
            del self._process.held[self.task]
            self._row.update(claimed_until=timezone.now(), **self._record())

    def _acquire(self) -> bool:
        WatchTask.objects.get_or_create(name=self.task)
        now = timezone.now()
        # A claim far in the future was made by a clock that was ahead.
        is_free = Q(claimed_until=None) | Q(claimed_until__lte=now) | Q(claimed_until__gt=now + LONGEST_CLAIM)
        free = WatchTask.objects.filter(is_free, name=self.task)
        if not free.update(claim=self._process.claim, claimed_until=now + LEASE):
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
