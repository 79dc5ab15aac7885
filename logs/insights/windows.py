"""The windows of the insights: whole hours, by the time at which events arrived."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q
from django.db.models.functions import Coalesce

from logs.insights.periods import Period
from logs.times import DAY, HOUR, hour_of

LENGTHS = {"24h": DAY, "7d": 7 * DAY, "30d": 30 * DAY, "60d": 60 * DAY, "90d": 90 * DAY}
DEFAULT = "30d"
MOST_BARS = 30  # In a chart: a bar for each hour of 24h, six hours of 7d, day of 30d, and three days of 90d.

# Newest first, but not by an index in this order: SQLite would read all events of the window to avoid sorting a few.
SORTED_NEWEST_FIRST = (Coalesce("received_at", "received_at").desc(), "-pk")


@dataclass(frozen=True, kw_only=True)
class Window:
    """A period of whole hours in UTC."""

    since: datetime
    until: datetime

    @property
    def of_sums(self) -> Q:
        """Filter for hourly sums."""
        return Q(hour__gte=self.since, hour__lt=self.until)

    @property
    def of_events(self) -> Q:
        """Filter for events."""
        return Q(received_at__gte=self.since, received_at__lt=self.until)

    @property
    def length(self) -> timedelta:
        """Its duration."""
        return self.until - self.since

    @property
    def middle(self) -> datetime:
        """The time halfway through it."""
        return self.since + self.length / 2

    @property
    def period(self) -> Period:
        """The window, divided into at most MOST_BARS bars of whole hours."""
        return Period(
            name="",
            length=self.length,
            bar_length=max(1, -(-self.length // (MOST_BARS * HOUR))) * HOUR,
            since=self.since,
            until=self.until,
        )


def window_named(name: str, now: datetime) -> Window:
    """Return the window with a name in LENGTHS; it ends with the current hour."""
    until = hour_of(now) + HOUR
    return Window(since=until - LENGTHS[name], until=until)


def window_between(since: datetime, until: datetime) -> Window:
    """Return the shortest window that contains a period; an empty one if the period ends before it begins."""
    first, last = hour_of(since), hour_of(until)
    if since >= until:
        return Window(since=first, until=first)
    return Window(since=first, until=last if last == until else last + HOUR)
