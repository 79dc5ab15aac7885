"""The rows of the sources page: one for each project of a webhook."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from logs import conf
from logs.admin.sources.states import TONES, ShownState, is_secret_gone, shown_states
from logs.insights.lags import Lag, read_lags
from logs.insights.projects import unclear_names
from logs.models import Source, WebhookSecret
from logs.models.sources import SourceState
from logs.times import DAY

Secrets = Mapping[tuple[str, str], datetime]  # When each webhook's secret was first seen in use, by its fingerprint.


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRow:
    """A source as the page shows it."""

    source: Source
    project: str  # Its name, or its slug if the name is empty or belongs to several projects on the page.
    state: ShownState
    lag: Lag | None  # None without a signed event in the last day.
    secret_days: int | None  # Since the secret was first seen in use; None if unknown.
    secret_mark: str  # "old": not the webhook's newest secret; "gone": no longer configured; else empty.
    is_muted: bool  # On its own; its webhook may be muted too.


def sort_key(source: Source) -> tuple[int, str, str]:
    """Return the position of a source in its table: the worst state first, then by name."""
    return list(TONES).index(SourceState(source.state)), source.project.lower(), source.project_slug


def source_rows(sources: Sequence[Source], now: datetime) -> list[SourceRow]:
    """Return the rows of sources, in four queries."""
    projects = [each for each in sources if each.project_slug]
    lags = read_lags({each.webhook for each in projects}, {each.project_slug for each in projects}, now - DAY)
    secrets = {(each.webhook, each.fingerprint): each.first_seen_at for each in WebhookSecret.objects.all()}
    states, unclear = shown_states(sources, now), unclear_names(sources)
    return [
        SourceRow(
            source=each,
            project=each.project_slug if each.project in unclear else each.project,
            state=states[each.pk],
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
    if is_secret_gone(source):
        return "gone"
    return "old" if conf.secret_position(source.webhook, source.secret_fingerprint) else ""
