"""Format figures: percentages, changes, and the words and signs for tones."""

from datetime import UTC, datetime

from django import template
from django.utils.formats import number_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from logs.circleci.vocabulary import STATUS_TONES, Tone
from logs.templatetags.display import SIGNS
from logs.times import EMPTY

TONE_WORDS = {
    Tone.GOOD: gettext_lazy("succeeded"),
    Tone.BAD: gettext_lazy("failed"),
    Tone.STOPPED: gettext_lazy("stopped"),
    Tone.WAITING: gettext_lazy("waiting"),
    Tone.UNKNOWN: gettext_lazy("other"),
}

register = template.Library()


@register.filter
def percent(share: float | None) -> str:
    """Format a share as a percentage, rounded down: only 1.0 shows as 100%."""
    if share is None:
        return EMPTY
    # Rounded first: 0.29 * 1000 is 289.99999999999994.
    tenths = int(round(share * 1_000, 6))
    return _("%(number)s\u00a0%%") % {"number": _tenths(tenths / 10)}


@register.filter
def hour_in_url(hour: datetime) -> str:
    """Return an hour as a filter value: an absolute time, so that a link keeps its meaning."""
    return f"{hour.astimezone(UTC):%Y-%m-%dT%H:%MZ}"


@register.filter
def tone_word(tone: Tone) -> str:
    """Return the word for a tone."""
    return str(TONE_WORDS[tone])


@register.filter
def tone_sign(tone: Tone) -> str:
    """Return the sign shown next to a tone's colour."""
    return SIGNS[tone]


@register.filter
def tone_statuses(tone: Tone) -> str:
    """Return a tone's statuses as a filter value; empty for unknown statuses."""
    return ",".join(status for status, its_tone in STATUS_TONES.items() if its_tone is tone)


@register.simple_tag
def growth(share: float | None, rising: str = "") -> SafeString | str:
    """Return the growth of a figure since the previous period, such as ▲ 12 %.

    Args:
        share: the growth as a share of the previous figure; None if unknown, which shows nothing.
        rising: whether growth is "good" or "bad"; empty if neither.
    """
    if share is None:
        return ""
    return _change(round(share * 100), _("%(amount)s\u00a0%%"), rising)


@register.simple_tag
def points(difference: float | None, rising: str = "") -> SafeString | str:
    """Return a share's change since the previous period in percentage points, such as ▼ 2.5 points.

    Args:
        difference: the current share minus the previous share; None if either is missing, which shows nothing.
        rising: as for `growth`.
    """
    if difference is None:
        return ""
    return _change(round(difference * 100, 1), _("%(amount)s points"), rising)


def _change(amount: float, unit: str, rising: str) -> SafeString:
    if not amount:
        return format_html('<span class="change">= {}</span>', _("unchanged"))
    is_up = amount > 0
    verdict = {"": "none", "good": "good" if is_up else "bad", "bad": "bad" if is_up else "good"}[rising]
    return format_html(
        '<span class="change change-{}"><span aria-hidden="true">{}</span>'
        '<span class="visually-hidden">{}</span> {}</span>',
        verdict,
        "▲" if is_up else "▼",
        _("up by") if is_up else _("down by"),
        unit % {"amount": _tenths(abs(amount))},
    )


def _tenths(number: float) -> str:
    return number_format(number, 1 if number % 1 else 0, force_grouping=True)
