"""How values are shown on pages: words in colours, moments, lengths of time. Payloads are hostile text: escape all."""

from datetime import UTC, datetime

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from logs.circleci.vocabulary import Tone, tone_of
from logs.models import Outcome
from logs.times import EMPTY, duration

SHORT_REVISION_LENGTH = 7

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
# fmt: on

# A sign beside each colour, for eyes that do not tell colours apart.
SIGNS = {Tone.GOOD: "✓", Tone.BAD: "✕", Tone.STOPPED: "■", Tone.WAITING: "…", Tone.UNKNOWN: "?"}

register = template.Library()
register.filter(duration)


@register.simple_tag
def pill(word: str, tone: Tone | None = None) -> SafeString | str:
    """Return a word in its colour, which for a status is known by itself."""
    if not word:
        return EMPTY
    shown = tone or tone_of(word)
    return format_html(
        '<span class="pill pill-{}"><span aria-hidden="true">{}</span> {}</span>', shown, SIGNS[shown], word
    )


@register.simple_tag
def outcome_pill(outcome: str) -> SafeString | str:
    """Return a delivery's outcome in its colour."""
    return pill(outcome, OUTCOME_TONES[Outcome(outcome)])


@register.simple_tag
def moment(value: datetime | None, style: str = "exact") -> SafeString | str:
    """Return a moment; static/logs/times.js writes it in the viewer's time zone, or as so long ago.

    Args:
        value: an aware moment.
        style: "exact", or "relative", which shows the exact moment to whoever points at it.
    """
    if value is None:
        return EMPTY
    utc = value.astimezone(UTC)
    return format_html(
        '<time datetime="{}" data-style="{}">{} UTC</time>', utc.isoformat(), style, f"{utc:%Y-%m-%d %H:%M:%S}"
    )


@register.filter
def short_revision(revision: str) -> str:
    """Return how a commit's hash begins."""
    return revision[:SHORT_REVISION_LENGTH]
