"""Derive a channel's state from the outcome of an attempt: it works, pauses, or is disabled."""

import random
from datetime import timedelta
from typing import Any

from django.utils import timezone

from logs.models.notifications import MAX_REASON_LENGTH, Channel
from logs.notifications.channels.base import Dead, Later, Outcome, Refused, Sent

PAUSES = [timedelta(seconds=10), timedelta(seconds=30)] + [timedelta(minutes=n) for n in (1, 2, 5, 10, 20, 40, 60)]
JITTER = 0.2
GIVE_UP_AFTER = timedelta(hours=24)
QUIET_AFTER = timedelta(minutes=75)  # Longer than the longest pause. A channel without attempts since is not failing.
DOUBTFUL = 3  # After this many rejections of the channel itself in a row, it is disabled.

WORKING = {"failures_in_a_row": 0, "rejections_in_a_row": 0, "failing_since": None}
# After it is enabled again, the channel has not failed yet.
DISABLED = WORKING | {"enabled": False}


def consequences(channel: Channel, outcome: Outcome, reason: str) -> dict[str, Any]:
    """Return the columns of a channel after an outcome."""
    now = timezone.now()
    if isinstance(outcome, Sent):
        return WORKING | {"not_before": None, "last_sent_at": now}
    error = {"last_error": reason, "last_error_at": now}
    if isinstance(outcome, Refused):
        return error | WORKING | {"not_before": None}
    was_quiet = channel.last_error_at is None or now - channel.last_error_at > QUIET_AFTER
    failing_since = now if was_quiet else channel.failing_since or now
    failures = channel.failures_in_a_row + 1
    rejections = channel.rejections_in_a_row + 1 if isinstance(outcome, Dead) else 0
    if isinstance(outcome, Dead) and outcome.is_certain:
        return error | DISABLED | {"disabled_reason": reason}
    if rejections >= DOUBTFUL:
        return error | DISABLED | {"disabled_reason": f"failed three times in a row: {reason}"[:MAX_REASON_LENGTH]}
    if now - failing_since >= GIVE_UP_AFTER:
        return error | DISABLED | {"disabled_reason": f"failing for 24 hours: {reason}"[:MAX_REASON_LENGTH]}
    wanted = outcome.after if isinstance(outcome, Later) else None
    pause = PAUSES[min(failures, len(PAUSES)) - 1] * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - not a secret
    failing = {"failures_in_a_row": failures, "rejections_in_a_row": rejections, "failing_since": failing_since}
    return error | failing | {"not_before": now + (wanted or pause)}
