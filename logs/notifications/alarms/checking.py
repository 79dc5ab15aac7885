"""Compare the current problems with the open alarms: open and close alarms, and add the notifications about them."""

from collections import defaultdict
from collections.abc import Callable, Container, Iterator
from datetime import datetime, timedelta
from typing import Any, Protocol

from django.conf import settings
from django.utils import timezone

from logs.models import Alarm, AlarmKind
from logs.notifications.alarms.channels import find_disabled_channels
from logs.notifications.alarms.credentials import find_expiring_tokens, find_old_secrets
from logs.notifications.alarms.notifying import notify
from logs.notifications.alarms.problems import Problems
from logs.notifications.alarms.refusals import find_refusals
from logs.notifications.alarms.silence import find_silence
from logs.notifications.alarms.watching import STOPPED, lasting, read_failing, stopped_since
from logs.transactions import delete_in_steps, durable_transaction

DELETED_TOGETHER = 500  # Rows per transaction.

# Each returns the current problems of its kind, given the keys of the open alarms and the time.
FINDERS: dict[AlarmKind, Callable[[Container[str], datetime], Problems]] = {
    AlarmKind.SILENCE: find_silence,
    AlarmKind.REFUSALS: find_refusals,
    AlarmKind.CHANNEL: find_disabled_channels,
    AlarmKind.TOKEN: find_expiring_tokens,
    AlarmKind.SECRET: find_old_secrets,
}


class Lease(Protocol):
    """The right to check the alarms, which one process has at a time."""

    # {"checked_at": the time of the last check in ISO 8601, "failing": the tasks that failed then}; None before the
    # first check.
    cursor: Any
    error: str  # Of the last check; empty if it succeeded.

    def renew(self) -> None:
        """Store the cursor; raise an error if another process has the lease now."""


def check(lease: Lease) -> bool:
    """Open alarms for new problems and close those of problems that are over; return whether to send anything.

    A second check of the same problems changes nothing.
    """
    now, before = timezone.now(), lease.cursor or {}
    opened = _open_alarms()
    failing = read_failing(before.get("failing", {}), now)
    problems: dict[str, Problems] = {kind: find(opened[kind], now) for kind, find in FINDERS.items()}
    problems[AlarmKind.WATCH] = lasting(failing, now)
    new = _new_alarms(problems, opened, now)
    over = [
        alarm for kind, alarms in opened.items() for key, alarm in alarms.items() if key not in problems.get(kind, {})
    ]
    # Checks that fail are not evidence that the watch was stopped.
    since = None if lease.error else stopped_since(before.get("checked_at"), now)
    stop = _stop(since, now) if since else None
    lease.cursor = {"checked_at": now.isoformat(), "failing": failing}
    if not (new or over or stop):
        return False
    try:
        return _write(lease, new, over, stop=stop, now=now)
    except Exception:
        lease.cursor = before  # Nothing is stored, so the next check finds it again.
        raise


def _open_alarms() -> dict[str, dict[str, Alarm]]:
    """Return the open alarms by kind and key."""
    opened: dict[str, dict[str, Alarm]] = defaultdict(dict)
    for alarm in Alarm.objects.open():
        opened[alarm.kind][alarm.key] = alarm
    return opened


def _new_alarms(problems: dict[str, Problems], opened: dict[str, dict[str, Alarm]], now: datetime) -> list[Alarm]:
    return [
        Alarm(kind=kind, key=key, opened_at=now, detail=detail)
        for kind, found in problems.items()
        for key, detail in found.items()
        if key not in opened[kind]
    ]


def _stop(since: datetime, now: datetime) -> Alarm:
    """Return an alarm, already closed, for a time without a watch."""
    detail = {"since": since.isoformat(), "until": now.isoformat()}
    return Alarm(kind=AlarmKind.WATCH, key=STOPPED, opened_at=since, closed_at=now, detail=detail)


def _write(lease: Lease, new: list[Alarm], over: list[Alarm], *, stop: Alarm | None, now: datetime) -> bool:
    with durable_transaction():
        lease.renew()  # First: if the lease is lost, another process may have opened or closed alarms since.
        # A conflict is an alarm that another process has opened meanwhile. Databases return no keys of these rows.
        Alarm.objects.bulk_create(new, ignore_conflicts=True)
        keys = {(alarm.kind, alarm.key) for alarm in new}
        stored = [alarm for alarm in Alarm.objects.open() if (alarm.kind, alarm.key) in keys] if new else []
        Alarm.objects.open().filter(pk__in=[alarm.pk for alarm in over]).update(closed_at=now)
        if stop:
            stop.save(force_insert=True)
        return notify(opened=stored, closed=over, stop=stop)


def delete_old() -> Iterator[int]:
    """Delete the alarms that closed more than NOTIFICATION_RETENTION_DAYS ago; yield their number after each batch."""
    oldest = timezone.now() - timedelta(days=settings.NOTIFICATION_RETENTION_DAYS)
    yield from delete_in_steps(Alarm.objects.filter(closed_at__lt=oldest), size=DELETED_TOGETHER)
