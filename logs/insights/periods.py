"""The stretches of time that the dashboard shows: whole hours, cut into bars, beside the same hours of the time before.

The hour that is not over yet belongs to them. Days begin in UTC.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import F, Func, IntegerField, Q
from django.db.models.sql.compiler import SQLCompiler

from logs.insights.sums import HOUR, hour_of

# Of each period, by its name in the page's address: how long it is, and how long a bar of its charts.
LENGTHS = {
    "24h": (timedelta(hours=24), HOUR),
    "7d": (timedelta(days=7), timedelta(hours=6)),
}
DEFAULT = "24h"


class BarNumber(Func):
    """How many bars have passed at an hour: to read the hours themselves takes longer than all else about them."""

    def as_sqlite(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **context: Any) -> Any:
        """Return the SQL for SQLite."""
        template = "((CAST(strftime('%%%%s', %(expressions)s) AS INTEGER) - %(since)s) / %(length)s)"
        return self.as_sql(compiler, connection, template=template, **context)

    def as_postgresql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **context: Any) -> Any:
        """Return the SQL for PostgreSQL."""
        template = "((EXTRACT(EPOCH FROM %(expressions)s)::bigint - %(since)s) / %(length)s)"
        return self.as_sql(compiler, connection, template=template, **context)


@dataclass(frozen=True, kw_only=True)
class Period:
    """A stretch of time up to the end of the present hour."""

    name: str
    length: timedelta
    bar_length: timedelta
    since: datetime
    until: datetime

    @property
    def present(self) -> Q:
        """What keeps a rollup's rows of the period."""
        return Q(hour__gte=self.since)

    @property
    def past(self) -> Q:
        """What keeps a rollup's rows of the same hours a day or a week ago."""
        return Q(hour__gte=self.compared_since, hour__lt=self.compared_until)

    @property
    def compared_since(self) -> datetime:
        """The beginning of what the period is compared to."""
        return self.since - self.length

    @property
    def compared_until(self) -> datetime:
        """The end of what the period is compared to."""
        return self.until - self.length

    @property
    def bar_starts(self) -> list[datetime]:
        """When each bar of its charts begins, the oldest first."""
        return [self.since + number * self.bar_length for number in range(self.length // self.bar_length)]

    @property
    def bar_number(self) -> "BarNumber":
        """Which bar a rollup's row of the period falls into, counted from 0."""
        since, length = int(self.since.timestamp()), int(self.bar_length.total_seconds())
        return BarNumber(F("hour"), since=since, length=length, output_field=IntegerField())


def period_of(name: str, now: datetime) -> Period:
    """Return the period of a name, up to now; the default one of an unknown name.

    Args:
        name: a key of `LENGTHS`.
        now: a moment in UTC.
    """
    known = name if name in LENGTHS else DEFAULT
    length, bar_length = LENGTHS[known]
    return Period(
        name=known,
        length=length,
        bar_length=bar_length,
        since=_bar_of(now, bar_length) + bar_length - length,
        until=hour_of(now) + HOUR,
    )


def _bar_of(now: datetime, bar_length: timedelta) -> datetime:
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + (now - midnight) // bar_length * bar_length
