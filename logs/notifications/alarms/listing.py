"""Open and recent alarms, as pages show them."""

from dataclasses import dataclass
from datetime import datetime

from django.urls import reverse

from logs.models import Alarm, AlarmKind
from logs.notifications.alarm_content import TEXTS


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownAlarm:
    """An alarm as pages show it."""

    kind: str  # An AlarmKind.
    key: str
    headline: str
    url: str  # Of the page to open.
    permission: str  # To open that page; empty for the dashboard, which shows the alarm.
    since: datetime
    until: datetime | None  # None while it is open.


def open_alarms() -> list[ShownAlarm]:
    """Return the open alarms, newest first, in one query."""
    return [_shown(alarm) for alarm in Alarm.objects.open().order_by("-opened_at", "-pk")]


def recent_alarms(limit: int) -> list[ShownAlarm]:
    """Return the newest alarms, open or not, in one query."""
    return [_shown(alarm) for alarm in Alarm.objects.order_by("-opened_at", "-pk")[:limit]]


def _shown(alarm: Alarm) -> ShownAlarm:
    text = TEXTS[AlarmKind(alarm.kind)]
    name, *args = text.page(alarm)
    return ShownAlarm(
        kind=alarm.kind,
        key=alarm.key,
        headline=text.headline(alarm.detail),
        url=f"{reverse(name, args=args)}{text.query}",
        permission=text.permission,
        since=alarm.opened_at,
        until=alarm.closed_at,
    )
