"""Open and recent alarms, as pages show them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from logs.models import Alarm
from logs.notifications.alarm_content import headline_of


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownAlarm:
    """An alarm as pages show it."""

    kind: str  # An AlarmKind.
    headline: str
    since: datetime
    until: datetime | None  # None while it is open.


def open_alarms() -> list[ShownAlarm]:
    """Return the open alarms, newest first, in one query."""
    return _shown(Alarm.objects.open().order_by("-opened_at", "-pk"))


def recent_alarms(limit: int) -> list[ShownAlarm]:
    """Return the newest alarms, open or not, in one query."""
    return _shown(Alarm.objects.order_by("-opened_at", "-pk")[:limit])


def _shown(alarms: Iterable[Alarm]) -> list[ShownAlarm]:
    return [
        ShownAlarm(kind=alarm.kind, headline=headline_of(alarm), since=alarm.opened_at, until=alarm.closed_at)
        for alarm in alarms
    ]
