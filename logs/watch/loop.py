"""The loop that runs the watch's tasks, a step at a time, until it is stopped."""

import logging
import time
from collections.abc import Callable, Iterator
from threading import Event
from typing import Any

from django.db import Error, InterfaceError, InternalError, OperationalError, connection
from django.utils import timezone

from logs.watch.leases import Lease, LeaseLost, Process
from logs.watch.tasks import Task, all_tasks

logger = logging.getLogger(__name__)

OUTAGES = (OperationalError, InterfaceError, InternalError)  # Of the database; not defects of the code.
PAUSE_SECONDS = 0.5  # Between two rounds in which no task had anything to do.
RETRY_AFTER_SECONDS = 60  # After an error, for a task that would otherwise start later.


class Job:
    """A task in this process: its lease, and the steps of its current run."""

    def __init__(self, task: Task, process: Process | None = None) -> None:
        self.task = task
        self.lease = Lease(task.name, process)
        self._steps: Iterator[object] | None = None
        self._last_error = ""
        self._retry_at: float | None = None

    def advance(self) -> bool:
        """Take a step if the task is due; return whether more steps follow. An error ends only this run."""
        try:
            return self.lease.hold() and self._step()
        except LeaseLost as error:
            logger.warning("%s", error)
        except Exception as error:  # noqa: BLE001 - no error may end the loop
            self._fail(error)
        self._steps = None
        return False

    def _step(self) -> bool:
        if self._steps is None and not self._is_due():
            return False
        if self._steps is None:
            self.lease.started_at, self._retry_at = timezone.now(), None
            self._steps = self.task.run(self.lease)
        if next(self._steps, self) is not self:
            return True
        self._steps, self._last_error = None, ""
        is_first, self.lease.finished_at = self.lease.finished_at is None, timezone.now()
        if is_first or self.lease.error or self.task.at:  # A daily task must not be repeated after a crash.
            self.lease.renew_soon()
        self.lease.error = ""
        return False

    def _is_due(self) -> bool:
        if self._retry_at is not None and time.monotonic() >= self._retry_at:
            return True
        now = timezone.now()
        if self.task.at and self.lease.finished_at is None:
            self.lease.finished_at = now  # A new daily task waits for its time.
        return self.task.is_due(self.lease, now)

    def _fail(self, error: Exception) -> None:
        # A database error may name hosts and users, and the dashboard shows this text.
        text = type(error).__name__ if isinstance(error, Error) else f"{type(error).__name__}: {error}"
        if text != self._last_error:
            is_outage = isinstance(error, OUTAGES)
            reason = f": {error}" if is_outage else ""
            logger.error(
                "the task %s failed and will be repeated%s",
                self.task.name,
                reason,
                exc_info=None if is_outage else error,
            )
        self._last_error = text
        if self._steps is not None:  # The task failed, not its lease.
            self.lease.error = text
            self.lease.renew_soon()  # A renewal in a transaction that was rolled back does not count.
            self._retry_at = time.monotonic() + RETRY_AFTER_SECONDS
        connection.close_if_unusable_or_obsolete()

    def release(self) -> None:
        """Let another process continue immediately."""
        try:
            self.lease.release()
        except Error:
            logger.warning("the lease of the task %s could not be released", self.task.name)


def run(*, beat: Callable[[], Any], stopping: Event) -> None:
    """Run all tasks until `stopping` is set.

    Args:
        beat: is called after each step, and at least every few seconds.
        stopping: ends the loop after the current step.
    """
    process = Process()
    jobs = [Job(task, process) for task in all_tasks()]
    logger.info("The watch runs: %s", ", ".join(job.task.name for job in jobs))
    while not stopping.is_set():
        is_busy = False
        for job in jobs:
            is_busy |= job.advance()
            beat()
            if stopping.is_set():
                break
        if not is_busy:
            stopping.wait(PAUSE_SECONDS)
    # All leases first: other processes need not wait for what is in flight here.
    for job in jobs:
        job.release()
    for job in jobs:
        job.task.stop(beat)
    logger.info("The watch has stopped")
