"""Times and durations in forms that people write and read, and the hours that events are counted by."""

import re
from datetime import UTC, datetime, timedelta

from django.utils import timezone
from django.utils.translation import gettext as _

from logs.timestamps import read_timestamp

EMPTY = "–"  # Shown in place of a missing value.
HOUR, DAY = timedelta(hours=1), timedelta(days=1)

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_SPAN = re.compile(r"(\d{1,5})([mhd])", re.ASCII)
# In a URL, a plus sign that is not written as %2B arrives as a space: 2026-05-04T10:00 02:00.
_LOST_PLUS = re.compile(r"^([^Tt:]+[Tt:].*) (\d\d(?::?\d\d)?)", re.ASCII)


def parse_span(text: str) -> timedelta | None:
    """Return the duration written as minutes, hours or days (30m, 24h, 7d); None if the text is not a duration."""
    span = _SPAN.fullmatch(text)
    return timedelta(**{_UNITS[span[2]]: int(span[1])}) if span else None


def parse_time(text: str) -> datetime:
    """Return the time, in UTC, for a timestamp (UTC if it has no offset) or an age (30m, 24h, 7d).

    `read_timestamp` lists the accepted timestamps.

    Raises:
        ValueError: the text is neither a timestamp nor an age; the message lists the accepted forms.
    """
    age = parse_span(text)
    if age is not None:
        return timezone.now() - age
    time = read_timestamp(text, assume_utc=True) or read_timestamp(_LOST_PLUS.sub(r"\1+\2", text), assume_utc=True)
    if time is None:
        raise ValueError(
            f"Invalid time {text!r}: use ISO 8601 (2026-05-04T10:00Z), seconds or milliseconds since 1970, or an age "
            "such as 30m, 24h or 7d"
        )
    return time


def picker_value(text: str) -> str:
    """Return a time as the value of a date picker, in UTC and whole seconds; empty for an age or an invalid time.

    Args:
        text: a time as in `parse_time`.
    """
    try:
        time = None if parse_span(text) else parse_time(text)
    except ValueError:
        time = None
    return time.replace(tzinfo=None, microsecond=0).isoformat().removesuffix(":00") if time else ""


def rfc_3339(time: datetime) -> str:
    """Return a time in UTC as RFC 3339: 2026-05-04T10:00:00Z."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def hour_of(time: datetime) -> datetime:
    """Return the start of the UTC hour that contains a time."""
    return time.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def day_of(time: datetime) -> datetime:
    """Return the start of the UTC day that contains a time."""
    return hour_of(time).replace(hour=0)


def duration(seconds: float | None) -> str:
    """Return a duration in its two largest units: 48 s, 3 min 12 s, 2 h 5 min, 3 d 4 h."""
    if seconds is None:
        return EMPTY
    if 0 < seconds < 1:
        return _("under 1 s")
    rest, parts = round(seconds), []
    for length, unit in ((86_400, _("d")), (3_600, _("h")), (60, _("min")), (1, _("s"))):
        number, rest = divmod(rest, length)
        parts.append((number, unit))
    first = next((index for index, (number, _unit) in enumerate(parts) if number), len(parts) - 1)
    shown = [part for part in parts[first : first + 2] if part[0]] or parts[-1:]
    return " ".join(f"{number} {unit}" for number, unit in shown)
