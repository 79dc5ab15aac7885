"""Tasks of the watch that keep failing, and times at which no watch ran."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from logs.models import WatchTask
from logs.models.watch import ALARMS
from logs.notifications.alarms.problems import Problems

LASTING = timedelta(minutes=10)
STOPPED = "stopped"  # The key of the alarms about times at which no watch ran. No task has this name.
# Checks are a minute apart: after three minutes without one, the watch has been down for at least two.
STOPPED_AFTER = timedelta(minutes=3)


def read_failing(before: Mapping[str, Any], now: datetime) -> Problems:
    """Return the tasks that fail, with the error and since when this has been noticed.

    A task that is no longer claimed was turned off. The task of the alarms runs, so it works.

    Args:
        before: the result of the last check.
        now: the time.
    """
    failing: Problems = {}
    tasks = WatchTask.objects.exclude(last_error="").exclude(name=ALARMS).filter(claimed_until__gte=now - LASTING)
    for task in tasks:
        known = before.get(task.name, {}).get("since")
        has_worked = known and task.last_finished_at and task.last_finished_at > datetime.fromisoformat(known)
        since = now.isoformat() if not known or has_worked else known
        failing[task.name] = {"task": task.name, "error": task.last_error, "since": since}
    return failing


def lasting(failing: Problems, now: datetime) -> Problems:
    """Keep the tasks that have been failing for LASTING."""
    return {
        task: detail for task, detail in failing.items() if datetime.fromisoformat(detail["since"]) <= now - LASTING
    }


def stopped_since(checked_at: str | None, now: datetime) -> datetime | None:
    """Return when the watch stopped; None if it has run all the time, or never before.

    Args:
        checked_at: when alarms were last checked.
        now: the time.
    """
    last = datetime.fromisoformat(checked_at) if checked_at else now
    return last if now - last > STOPPED_AFTER else None
