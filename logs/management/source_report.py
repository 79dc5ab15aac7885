"""The lines of `manage.py check_webhooks` about sources."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from operator import itemgetter

from django.utils import timezone
from django.utils.timesince import timesince

from logs import conf
from logs.insights.secret_use import Use
from logs.management.terminal import printable
from logs.models import Source, SourceState
from logs.standings.sources import News, heeded_sources

MAX_LISTED = 10
ORDER = [SourceState.SILENT, SourceState.LATE, SourceState.NEW, SourceState.UP]

LastDeliveries = dict[tuple[str, str], datetime]  # By webhook and project slug.


def source_lines(sources: Sequence[Source], now: datetime) -> Iterator[str]:
    """Yield a line for each source of a webhook, the silent ones first; long lists are cut.

    A webhook's own row is shown only if the webhook has no projects.
    """
    shown = [source for source in sources if source.project_slug] or sources
    ordered = sorted(shown, key=lambda source: (ORDER.index(SourceState(source.state)), source.project_slug))
    lines = [f"    {_source_line(source, now)}" for source in ordered]
    if lines:
        yield "  sources:"
    yield from cut(lines, more="    and {} more")


def problems(  # noqa: PLR0913 - what the command has read
    webhooks: Sequence[conf.Webhook],
    sources: Sequence[Source],
    uses: Mapping[str, Sequence[Use]],
    news: News,
    *,
    now: datetime,
    max_age: timedelta | None,
) -> Iterator[str]:
    """Yield a line for each problem: an unknown state and, with `max_age`, old or missing deliveries, else silence."""
    heeded = list(heeded_sources(now))
    if max_age is None:
        yield from (f"{printable(str(source))} is silent; last delivery: {_last(source)}" for source in news.silent)
    else:
        last = _last_deliveries(sources, uses)
        yield from _old(heeded, last, before=now - max_age)
        muted = {source.webhook for source in sources} - {source.webhook for source in heeded}
        unheard = [each for each in webhooks if each.name not in muted | {webhook for webhook, _ in last}]
        yield from (f"{printable(webhook.name)} has never delivered" for webhook in unheard)
    if news.is_outdated or (news.is_unknown and heeded):
        yield news_line(news)


def _last_deliveries(sources: Sequence[Source], uses: Mapping[str, Sequence[Use]]) -> LastDeliveries:
    """Return when each source last delivered, even if the watch has not read the newest deliveries."""
    read = [(_key(source), source.last_delivery_at) for source in sources if source.last_delivery_at]
    stored = [((webhook, use.project_slug), use.received_at) for webhook, some in uses.items() for use in some]
    return dict(sorted(read + stored, key=itemgetter(1)))  # The last of equal keys counts.


def _old(sources: Sequence[Source], last: LastDeliveries, *, before: datetime) -> Iterator[str]:
    for source in sources:
        at = last.get(_key(source))
        if at and at < before:
            yield f"{printable(str(source))} has not delivered within the given age; last delivery: {when(at)}"


def news_line(news: News) -> str:
    """Return whether the sources are heard from."""
    if not news.is_unknown:
        return "current"
    since = f"since {when(news.since)}" if news.since else "yet"
    news_since = f"the watch has not read the deliveries {since}" if news.is_outdated else f"no news {since}"
    return f"{news_since}: the state of the workflows is unknown"


def cut(lines: Sequence[str], *, more: str) -> list[str]:
    """Return the first MAX_LISTED lines, and `more` with the number of the others."""
    rest = len(lines) - MAX_LISTED
    return [*lines[:MAX_LISTED], *([more.format(rest)] if rest > 0 else [])]


def when(at: datetime) -> str:
    """Return a time with its age."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC ({age_of(at)})"


def age_of(at: datetime) -> str:
    """Return how long ago a time was."""
    return f"{timesince(at, timezone.now()).replace(chr(0xA0), ' ')} ago"


def _source_line(source: Source, now: datetime) -> str:
    facts = [source.state, f"last delivery: {_last(source)}"]
    if source.secret_fingerprint:
        facts.append(f"secret {source.secret_fingerprint}")
    if source.muted_until and source.is_muted(now):
        facts.append(f"muted until {source.muted_until:%Y-%m-%d %H:%M} UTC")
    return f"{printable(source.project_slug) or 'all projects'}: {'; '.join(facts)}"


def _last(source: Source) -> str:
    return when(source.last_delivery_at) if source.last_delivery_at else "never"


def _key(source: Source) -> tuple[str, str]:
    return source.webhook, source.project_slug
