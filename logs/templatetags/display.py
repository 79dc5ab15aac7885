"""Format words, times and durations for pages. Payloads are untrusted, so everything is escaped."""

from collections.abc import Mapping
from datetime import UTC, datetime
from math import ceil

from django import template
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from logs.circleci.vocabulary import Tone, tone_of
from logs.models import NotificationState, Outcome
from logs.replica import data_age_seconds
from logs.times import EMPTY, duration

SHORT_REVISION_LENGTH = 7
STALE_AFTER_SECONDS = 2  # Pages do not mention a smaller age of their data.

# fmt: off
OUTCOME_TONES = {
    Outcome.LOGGED:     Tone.GOOD,
    Outcome.UPDATED:    Tone.GOOD,
    Outcome.DUPLICATE:  Tone.STOPPED,
    Outcome.PING:       Tone.STOPPED,
    Outcome.EXPIRED:    Tone.STOPPED,
    Outcome.UNVERIFIED: Tone.BAD,
    Outcome.MALFORMED:  Tone.BAD,
    Outcome.FORBIDDEN:  Tone.BAD,
    Outcome.REJECTED:   Tone.BAD,
}
NOTIFICATION_TONES = {
    NotificationState.WAITING: Tone.WAITING,
    NotificationState.SENT:    Tone.GOOD,
    NotificationState.FAILED:  Tone.BAD,
    NotificationState.EXPIRED: Tone.STOPPED,
    NotificationState.MERGED:  Tone.STOPPED,
    NotificationState.DROPPED: Tone.STOPPED,
}
# fmt: on

# A sign next to each colour, for readers who cannot distinguish colours.
SIGNS = {Tone.GOOD: "✓", Tone.BAD: "✕", Tone.STOPPED: "■", Tone.WAITING: "…", Tone.UNKNOWN: "?"}

register = template.Library()
register.filter(duration)


@register.simple_tag
def pill(word: str, tone: Tone | None = None) -> SafeString | str:
    """Return a word in the colour of its tone; for a CircleCI status, the tone may be omitted."""
    if not word:
        return EMPTY
    shown = tone or tone_of(word)
    return format_html(
        '<span class="pill pill-{}"><span aria-hidden="true">{}</span> {}</span>', shown, SIGNS[shown], word
    )


@register.simple_tag
def stale_seconds() -> int | None:
    """Return how old the page's data may be; None if that is not worth a mention."""
    age_seconds = data_age_seconds()
    return ceil(age_seconds) if age_seconds is not None and age_seconds > STALE_AFTER_SECONDS else None


@register.simple_tag
def dot(tone: Tone, title: str) -> SafeString:
    """Return the sign of a tone as a small dot in the tone's colour."""
    return format_html('<span class="dot pill-{}" title="{}">{}</span>', tone, title, SIGNS[tone])


@register.simple_tag
def outcome_pill(outcome: str) -> SafeString | str:
    """Return a delivery's outcome in its colour."""
    return pill(outcome, OUTCOME_TONES[Outcome(outcome)])


@register.simple_tag
def notification_pill(state: str) -> SafeString | str:
    """Return the state of a notification in its colour."""
    return pill(notification_word(state), NOTIFICATION_TONES[NotificationState(state)])


@register.filter
def notification_word(state: str) -> str:
    """Return the word for the state of a notification; "failed" would read as the status of a run."""
    return _("not sent") if state == NotificationState.FAILED else state


@register.simple_tag
def timestamp(value: datetime | None, style: str = "exact") -> SafeString | str:
    """Return a ``<time>`` element; static/logs/times.js shows it in the viewer's time zone, or as a relative time.

    Args:
        value: an aware time; None is shown as a dash.
        style: "exact"; "relative", or "clock" for today's time of day, which have the exact time as their tooltip.
    """
    if value is None:
        return EMPTY
    utc = value.astimezone(UTC)
    return format_html(
        '<time datetime="{}" data-style="{}">{} UTC</time>', utc.isoformat(), style, f"{utc:%Y-%m-%d %H:%M:%S}"
    )


@register.filter
def seconds_until(start: datetime, end: datetime) -> float:
    """Return the seconds from one time to another."""
    return (end - start).total_seconds()


@register.filter
def query(parameters: Mapping[str, str]) -> str:
    """Return parameters as a query string."""
    return urlencode(parameters)


@register.filter
def response_time(seconds: float) -> str:
    """Return a duration in milliseconds or, from one second on, in larger units."""
    milliseconds = round(seconds * 1_000)
    if milliseconds >= 1_000:
        return duration(seconds)
    return _("%(number)s ms") % {"number": milliseconds} if milliseconds else _("under 1 ms")


@register.filter
def short_revision(revision: str) -> str:
    """Return the start of a commit hash."""
    return revision[:SHORT_REVISION_LENGTH]
