"""The rows of the sources page: one for each project of a webhook."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from logs import conf
from logs.admin.sources.notes import notes_on
from logs.circleci.vocabulary import Tone
from logs.insights.lags import Lag, read_lags
from logs.models import Source, WebhookSecret
from logs.models.sources import SourceState
from logs.times import DAY

# The states in the order in which they are shown, with the tone of each.
TONES = {
    SourceState.SILENT: Tone.BAD,
    SourceState.LATE: Tone.WAITING,
    SourceState.NEW: Tone.UNKNOWN,
    SourceState.UP: Tone.GOOD,
}
Secrets = Mapping[tuple[str, str], datetime]  # When each webhook's secret was first seen in use, by its fingerprint.


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRow:
    """A source as the page shows it."""

    source: Source
    tone: Tone
    note: str  # What the state alone does not say; mostly empty.
    lag: Lag | None  # None without a signed event in the last day.
    secret_days: int | None  # Since the secret was first seen in use; None if unknown.
    secret_mark: str  # "old": not the webhook's newest secret; "gone": no longer configured; else empty.
    is_muted: bool  # On its own; its webhook may be muted too.


def sort_key(source: Source) -> tuple[int, str, str]:
    """Return the position of a source in its table: the worst state first, then by name."""
    return list(TONES).index(SourceState(source.state)), source.project.lower(), source.project_slug


def source_rows(sources: Sequence[Source], now: datetime) -> list[SourceRow]:
    """Return the rows of sources, in two queries."""
    projects = [each for each in sources if each.project_slug]
    lags = read_lags({each.webhook for each in projects}, {each.project_slug for each in projects}, now - DAY)
    secrets = {(each.webhook, each.fingerprint): each.first_seen_at for each in WebhookSecret.objects.all()}
    notes = notes_on(sources, now)
    return [
        SourceRow(
            source=each,
            tone=TONES[SourceState(each.state)],
            note=notes.get(each.pk, ""),
            lag=lags.get((each.webhook, each.project_slug)),
            secret_days=_secret_days(each, secrets, now),
            secret_mark=_secret_mark(each),
            is_muted=each.is_muted(now),
        )
        for each in sources
    ]


def _secret_days(source: Source, secrets: Secrets, now: datetime) -> int | None:
    first_seen_at = secrets.get((source.webhook, source.secret_fingerprint))
    return None if first_seen_at is None else max(0, (now - first_seen_at).days)


def _secret_mark(source: Source) -> str:
    position = conf.secret_position(source.webhook, source.secret_fingerprint)
    if not source.secret_fingerprint or position == 0:
        return ""
    return "gone" if position is None else "old"
