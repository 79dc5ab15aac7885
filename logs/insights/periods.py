"""The dashboard's periods: whole hours, divided into bars, compared with the same hours of the previous period.

A period includes the current hour. Days begin at midnight UTC.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import F, Func, IntegerField, Q
from django.db.models.sql.compiler import SQLCompiler

from logs.times import HOUR, day_of, hour_of

# The length of each period and of the bars in its charts, keyed by the period's name in the page's URL.
LENGTHS = {
    "24h": (timedelta(hours=24), HOUR),
    "7d": (timedelta(days=7), timedelta(hours=6)),
}
DEFAULT = "24h"
TWO_WEEKS = (timedelta(days=14), timedelta(hours=12))  # Of the pages for projects and for flaky jobs.


class BarNumber(Func):
    """The bar number for an hour, computed in SQL: reading the hours would take longer than the rest of the query."""

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
    """A period that ends with the current hour."""

    name: str
    length: timedelta
    bar_length: timedelta
    since: datetime
    until: datetime

    @property
    def present(self) -> Q:
        """Filter for the rollup rows in the period."""
        return Q(hour__gte=self.since)

    @property
    def past(self) -> Q:
        """Filter for the same hours of the previous period."""
        return Q(hour__gte=self.compared_since, hour__lt=self.compared_until)

    @property
    def compared_since(self) -> datetime:
        """The start of the previous period."""
        return self.since - self.length

    @property
    def compared_until(self) -> datetime:
        """The end of the compared hours in the previous period."""
        return self.until - self.length

    @property
    def bar_starts(self) -> list[datetime]:
        """The start of each bar in the period's charts, oldest first; the last bar may be shorter."""
        return [self.since + number * self.bar_length for number in range(-(-self.length // self.bar_length))]

    @property
    def bar_number(self) -> "BarNumber":
        """The number of the bar that contains a rollup row, counted from 0."""
        since, length = int(self.since.timestamp()), int(self.bar_length.total_seconds())
        return BarNumber(F("hour"), since=since, length=length, output_field=IntegerField())


def period_of(name: str, now: datetime) -> Period:
    """Return the named period up to `now`, a time in UTC; the default period if the name is not in LENGTHS."""
    known = name if name in LENGTHS else DEFAULT
    return _period(known, *LENGTHS[known], now)


def last_two_weeks(now: datetime) -> Period:
    """Return the 14 days up to `now`, a time in UTC, with bars of 12 hours."""
    return _period("14d", *TWO_WEEKS, now)


def _period(name: str, length: timedelta, bar_length: timedelta, now: datetime) -> Period:
    return Period(
        name=name,
        length=length,
        bar_length=bar_length,
        since=_bar_of(now, bar_length) + bar_length - length,
        until=hour_of(now) + HOUR,
    )


def _bar_of(now: datetime, bar_length: timedelta) -> datetime:
    midnight = day_of(now)
    return midnight + (now - midnight) // bar_length * bar_length
