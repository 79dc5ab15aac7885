"""The state of the watch, read from its tasks."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from logs.models import WatchTask
from logs.models.watch import FLAKY, FOLLOW, LEASE, LONGEST_CLAIM

# After this time without a sign of life, the watch counts as not running.
SILENT_AFTER = timedelta(minutes=2)


@dataclass(frozen=True, kw_only=True)
class WatchState:
    """Whether the watch runs, and what failed in it."""

    is_running: bool
    seen_at: datetime | None  # The last sign of life, which a running watch gives every few seconds; None without one.
    last_started_at: datetime | None  # When a task last started; None if none ever has.
    errors: dict[str, str]  # The last error of each task whose last run failed.
    has_followed: bool  # Whether all branches of the log have been judged once.
    has_found_flakes: bool  # Whether the events of the last two weeks have been read once.

    @property
    def is_following(self) -> bool:
        """Whether the standings are those of the log as it is now."""
        return self.is_running and self.has_followed and FOLLOW not in self.errors

    @property
    def is_finding_flakes(self) -> bool:
        """Whether the flakes are those of the log as it is now."""
        return self.is_running and self.has_found_flakes and FLAKY not in self.errors


def read_watch() -> WatchState:
    """Return the state of the watch, in one query."""
    tasks = list(WatchTask.objects.order_by("name"))
    now = timezone.now()
    # A claim far in the future was made by a clock that was ahead.
    claims = [until for task in tasks if (until := task.claimed_until) and until <= now + LONGEST_CLAIM]
    seen_at = max(claims) - LEASE if claims else None
    started = [task.last_started_at for task in tasks if task.last_started_at]
    return WatchState(
        is_running=seen_at is not None and seen_at > now - SILENT_AFTER,
        seen_at=seen_at,
        last_started_at=max(started, default=None),
        errors={task.name: task.last_error for task in tasks if task.last_error},
        has_followed=any(task.name == FOLLOW and task.cursor for task in tasks),
        has_found_flakes=any(task.name == FLAKY and task.last_finished_at for task in tasks),
    )
