"""Read moments as people write them, ISO 8601 or so long ago, and lengths of time."""

import re
from datetime import UTC, datetime, timedelta

from django.utils import timezone

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_SPAN = re.compile(r"(\d{1,5})([mhd])", re.ASCII)


def parse_span(text: str) -> timedelta | None:
    """Return a length of time from so many minutes, hours or days: 30m, 24h, 7d; None where it is none."""
    span = _SPAN.fullmatch(text)
    return timedelta(**{_UNITS[span[2]]: int(span[1])}) if span else None


def parse_moment(text: str) -> datetime:
    """Return a moment in UTC from ISO 8601 (UTC where no offset stands), or so long ago: 30m, 24h, 7d.

    Raises:
        ValueError: it is neither; the message says what was wanted.
    """
    ago = parse_span(text)
    if ago is not None:
        return timezone.now() - ago
    try:
        parsed = datetime.fromisoformat(text)
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{text!r} is no moment: write 2026-05-04T10:00Z, or 30m, 24h, 7d for so long ago") from error
