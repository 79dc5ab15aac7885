"""Badges: the state of the selected branches as an SVG image, and as JSON for shields.io.

Source: https://shields.io/badges/endpoint-badge (read 2026-11-29).
"""

from typing import Any, NamedTuple

from django.template.loader import render_to_string

from logs.circleci.vocabulary import Tone
from logs.feeds.characters import printable
from logs.feeds.choosing import Choice, is_stale

CACHE_SECONDS = 300
MAX_LABEL_LENGTH = 60
PADDING = 8
# Of the badge's font; textLength fits each text into its part.
NARROW, WIDE = "fijlrtI.,:;'|()[]/ -", "mwMW@%"


class Badge(NamedTuple):
    """The text and colour of a badge."""

    label: str
    message: str
    color: str
    is_error: bool = False


def badge_of(choice: Choice, rows: list[Any]) -> Badge:
    """Return the badge: failing if any branch fails, stale if none of them has run lately."""
    label = printable(choice.workflow or choice.project or "build")[:MAX_LABEL_LENGTH]
    current = [row for row in rows if not is_stale(row, choice)]
    failing = [row for row in current if row.tone == Tone.BAD]
    if failing:
        message = "failing" if len(current) == 1 else f"{len(failing)} of {len(current)} failing"
        return Badge(label, message, "#b3261e", is_error=True)
    if any(row.tone == Tone.GOOD for row in current):
        return Badge(label, "passing", "#2e7d32")
    if any(row.tone for row in rows):
        return Badge(label, "stale", "#8a6100")
    return Badge(label, "no runs", "#5f6368")


def as_json(badge: Badge) -> dict[str, Any]:
    """Return the badge for shields.io, which rejects unknown members."""
    return {
        "schemaVersion": 1,
        "label": badge.label,
        "message": badge.message,
        "color": badge.color,
        "isError": badge.is_error,
        "cacheSeconds": CACHE_SECONDS,
    }


def as_svg(badge: Badge) -> str:
    """Return the badge as an image without scripts."""
    label, message = _width_of(badge.label), _width_of(badge.message)
    left, right = label + 2 * PADDING, message + 2 * PADDING
    context = {
        "badge": badge,
        "width": left + right,
        "left": left,
        "right": right,
        "label_x": left / 2,
        "label_width": label,
        "message_x": left + right / 2,
        "message_width": message,
    }
    return render_to_string("logs/feeds/badge.svg", context)


def _width_of(text: str) -> int:
    """Return about how wide a text is, in pixels."""
    return sum(4 if character in NARROW else 10 if character in WIDE else 7 for character in text)
