"""Keep the sources current: read new deliveries, and record which webhooks and projects they came from.

A second check of the same deliveries changes nothing.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any, NamedTuple, Protocol

from django.db.models import Max, Q, QuerySet, Window
from django.db.models.functions import Coalesce
from django.utils import timezone

from logs import conf
from logs.models import Delivery, Outcome, Source, SourceState, WebhookSecret, WorkflowEvent
from logs.models.events import SETTLED_AFTER
from logs.standings.silence import is_judged, read_until
from logs.transactions import durable_transaction

BATCH_SIZE = 1_000
# How far back the first check reads. Four weeks of history are needed to judge silence.
FIRST_READ = timedelta(days=29)
# How often the check steps back, because transactions that were open at the time have ended since.
STEP_BACK_EVERY_SECONDS = SETTLED_AFTER.total_seconds()
OUTDATED_AFTER = timedelta(minutes=5)  # Since the watch last read all deliveries.
UNKNOWN_AFTER = timedelta(hours=24)  # For a source whose silence is not judged.
IDLE_AFTER = timedelta(days=90)
ACCEPTED = {Outcome.LOGGED, Outcome.UPDATED, Outcome.DUPLICATE, Outcome.PING, Outcome.EXPIRED}
KEY = ["webhook", "project_slug"]
WRITTEN_COLUMNS = [
    "project",
    "state",
    "state_since",
    "first_event_at",
    "first_ping_at",
    "last_delivery_at",
    "last_event",
    "secret_fingerprint",
]


class Lease(Protocol):
    """The right to update the sources, which one process has at a time."""

    # {"read": the last key read; "marks": the last keys read at the last two steps back}; None before the first check.
    cursor: Any


class _Row(NamedTuple):
    """A delivery, and its event's project."""

    pk: int
    received_at: datetime
    outcome: str
    webhook: str
    verified: bool
    secret_fingerprint: str | None
    project_slug: str | None
    event_id: int | None
    event_slug: str | None
    project: str | None

    @property
    def key(self) -> tuple[str, str]:
        """The source: the project of a signed delivery that names one, else the webhook itself."""
        # Releases that did not record the slug of a delivery recorded it with the event.
        return self.webhook, (self.project_slug or self.event_slug or "") if self.verified else ""


class SourceReader:
    """Reads new deliveries repeatedly, and updates their sources.

    On PostgreSQL, a delivery may appear after one with a higher key. Once a minute, the check therefore steps back to
    its position two step-backs ago; transactions that were open then have ended. It never steps back before deliveries
    that were already old when they were read, as they are after a break of the watch.
    """

    def __init__(self) -> None:
        self._stepped_back_at = time.monotonic()
        self._has_webhooks = False  # Whether each configured webhook has its own row.

    def check(self, lease: Lease) -> Iterator[None]:
        """Read the deliveries written since the last check; yield after each batch.

        The first check reads the deliveries of the last 29 days.
        """
        if not self._has_webhooks:
            _add_configured_webhooks()
            self._has_webhooks = True
        if lease.cursor is None:
            start = _first_key()
            lease.cursor = {"read": start, "marks": [start, start]}
        is_step_back = time.monotonic() - self._stepped_back_at >= STEP_BACK_EVERY_SECONDS
        key = lease.cursor["marks"][0] if is_step_back else lease.cursor["read"]
        is_last = False
        while not is_last:
            rows = _deliveries_after(key)
            is_last = len(rows) < BATCH_SIZE
            if rows:
                _update_sources(rows)
                key = rows[-1].pk
                lease.cursor = _advanced(lease.cursor, rows)
                yield
        if is_step_back:
            lease.cursor = lease.cursor | {"marks": [lease.cursor["marks"][1], lease.cursor["read"]]}
            self._stepped_back_at = time.monotonic()


def _advanced(cursor: dict[str, Any], rows: Sequence[_Row]) -> dict[str, Any]:
    """Return the cursor after some deliveries."""
    settled_at = timezone.now() - 2 * SETTLED_AFTER
    settled = max((row.pk for row in rows if row.received_at < settled_at), default=0)
    return {"read": max(rows[-1].pk, cursor["read"]), "marks": [max(mark, settled) for mark in cursor["marks"]]}


def _add_configured_webhooks() -> None:
    own = [Source(webhook=webhook.name) for webhook in conf.webhooks()]
    known = set(Source.objects.filter(project_slug="").values_list("webhook", flat=True))
    Source.objects.bulk_create((each for each in own if each.webhook not in known), ignore_conflicts=True)


def _first_key() -> int:
    """Return the key before the deliveries that the first check reads."""
    recent = Delivery.objects.filter(received_at__gte=timezone.now() - FIRST_READ).order_by("received_at", "pk")
    first = recent.values_list("pk", flat=True).first()
    if first is not None:
        return first - 1
    return Delivery.objects.order_by("-pk").values_list("pk", flat=True).first() or 0


def _deliveries_after(key: int) -> list[_Row]:
    columns = [*_Row._fields[:8], "event__project_slug", "event__project"]
    rows = Delivery.objects.filter(pk__gt=key).order_by("pk").values_list(*columns)[:BATCH_SIZE]
    return [_Row(*row) for row in rows]


def _update_sources(rows: Iterable[_Row]) -> None:
    by_source: dict[tuple[str, str], list[_Row]] = {}
    for row in rows:
        if row.outcome in ACCEPTED and row.webhook:
            by_source.setdefault(row.key, []).append(row)
    if not by_source:
        return
    webhooks, slugs = zip(*by_source, strict=True)
    with durable_transaction():
        found = Source.objects.filter(webhook__in=set(webhooks), project_slug__in=set(slugs))
        known = {(source.webhook, source.project_slug): source for source in found}
        sources = [_updated(known.get(key) or _new_source(*key), some) for key, some in by_source.items()]
        Source.objects.bulk_create(sources, update_conflicts=True, unique_fields=KEY, update_fields=WRITTEN_COLUMNS)
        WebhookSecret.objects.bulk_create(_secrets(by_source.values()), ignore_conflicts=True)


def _new_source(webhook: str, project_slug: str) -> Source:
    """Return a new source. Its first event may be older than the stored deliveries, but not older than 29 days."""
    source = Source(webhook=webhook, project_slug=project_slug)
    if project_slug:
        events = WorkflowEvent.objects.filter(project_slug=project_slug, received_at__gte=timezone.now() - FIRST_READ)
        signed = events.filter(name=webhook, verified=True).order_by("received_at", "pk")
        source.first_event_at = signed.values_list("received_at", flat=True).first()
    return source


def _updated(source: Source, rows: Sequence[_Row]) -> Source:
    """Return a source after some of its deliveries, as a row to write.

    Deliveries that are read again, or late, only fill gaps.
    """
    source.pk = None  # Its unique columns decide whether it is new.
    now, known_at = timezone.now(), source.last_delivery_at
    for row in rows:
        if row.outcome == Outcome.PING:
            source.first_ping_at = source.first_ping_at or row.received_at
        if row.event_id is not None:
            source.first_event_at = source.first_event_at or row.received_at
    # A last delivery in the future was received by a clock that was ahead.
    later = [row for row in rows if known_at is None or not row.received_at <= known_at <= now]
    for row in sorted(later, key=attrgetter("received_at")):
        source.last_delivery_at = row.received_at
        if row.secret_fingerprint is not None:
            source.secret_fingerprint = row.secret_fingerprint
        if row.event_id is not None:
            source.last_event_id = row.event_id
            source.project = (row.project or source.project) if source.project_slug else ""
    state = SourceState.UP if is_judged(source, now) else SourceState.NEW
    if later and state != source.state:
        source.state, source.state_since = state, now
    return source


def _secrets(sources: Iterable[Sequence[_Row]]) -> list[WebhookSecret]:
    first = {
        (row.webhook, row.secret_fingerprint): row.received_at
        for rows in sources
        for row in reversed(rows)
        if row.secret_fingerprint
    }
    return [
        WebhookSecret(webhook=webhook, fingerprint=fingerprint, first_seen_at=at)
        for (webhook, fingerprint), at in first.items()
    ]


def drop_idle_sources() -> Iterator[None]:
    """Remove the sources without a delivery for IDLE_AFTER, except the configured webhooks' own rows."""
    oldest = timezone.now() - IDLE_AFTER
    idle = Source.objects.filter(Q(last_delivery_at__lt=oldest) | Q(last_delivery_at=None, state_since__lt=oldest))
    configured = [webhook.name for webhook in conf.webhooks()]
    with durable_transaction():
        idle.exclude(project_slug="", webhook__in=configured).delete()
    yield


@dataclass(frozen=True, kw_only=True)
class News:
    """Whether the log still hears from its sources."""

    is_unknown: bool  # Whether nothing is known about the workflows either.
    since: datetime | None  # The last delivery of any source; None if there is none.
    silent: Iterable[Source]  # The silent sources, except muted ones.
    is_outdated: bool = False  # Whether it is unknown because the watch has not read the deliveries since `since`.


def read_news(now: datetime, project_slug: str = "") -> News:
    """Return what is known about the configured webhooks, in two queries and one for the silent sources.

    The source that was heard from last decides. Muted sources do not count, unless all are muted. For a project, its
    own sources must be heard from too, which takes one more query.
    """
    heeded = heeded_sources(now)
    silent = heeded.filter(state=SourceState.SILENT).order_by(*KEY)
    known_until = read_until()
    if conf.webhooks() and (known_until is None or known_until < now - OUTDATED_AFTER):
        return News(is_unknown=True, since=known_until, silent=silent, is_outdated=True)
    newest = _newest(heeded, _judged_sources())
    if project_slug and newest is not None and not _is_unknown(newest, now):
        newest = _newest(heeded, _judged_sources().filter(project_slug=project_slug)) or newest
    return News(
        is_unknown=newest is not None and _is_unknown(newest, now), since=newest and newest.last_at, silent=silent
    )


def read_sources() -> list[Source]:
    """Return the sources of the configured webhooks, by webhook and project, in one query."""
    return list(_configured_sources().order_by(*KEY))


def sources_of(project_slug: str) -> list[Source]:
    """Return a project's sources, one for each configured webhook that reports it, in one query."""
    return list(_configured_sources().filter(project_slug=project_slug).order_by("webhook"))


def heeded_sources(now: datetime) -> QuerySet[Source]:
    """Return the sources of the configured webhooks whose silence matters.

    A source is muted if its own row or its webhook's is. A webhook's own row counts only if no project does.
    """
    muted = Q(muted_until__gt=now)
    webhooks = _configured_sources().filter(muted, project_slug="").values("webhook")
    return _judged_sources().exclude(muted).exclude(webhook__in=webhooks)


def _configured_sources() -> QuerySet[Source]:
    return Source.objects.filter(webhook__in=[webhook.name for webhook in conf.webhooks()])


def _judged_sources() -> QuerySet[Source]:
    projects = _configured_sources().exclude(project_slug="")
    return _configured_sources().exclude(project_slug="", webhook__in=projects.values("webhook"))


def _newest(heeded: QuerySet[Source], sources: QuerySet[Source]) -> Any:
    """Return the source that was heard from last, with the last delivery of any as `last_at`; heeded ones first."""
    marked = sources.annotate(is_left_out=~Q(pk__in=heeded.values("pk")))
    with_last = marked.annotate(last_at=Window(Max("last_delivery_at"), partition_by="is_left_out"))
    return with_last.order_by("is_left_out", Coalesce("last_delivery_at", "state_since").desc()).first()


def _is_unknown(source: Source, now: datetime) -> bool:
    if source.state == SourceState.NEW:
        return (source.last_delivery_at or source.state_since) <= now - UNKNOWN_AFTER
    return source.state == SourceState.SILENT
