"""The blocks of the sources page: one for each webhook, with its URL and its projects."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q, QuerySet

from logs import conf
from logs.admin.sources.rows import SourceRow, sort_key, source_rows
from logs.insights.secret_use import Rotation, read_rotations, read_uses
from logs.insights.setup import Setup, WebhookSetup
from logs.models import Source

MOST_SHOWN = 200  # Rows on the page, the worst states first; a filter finds the others.
SHOWN_FOR = timedelta(days=90)  # After a source's last delivery.
EVENT_COLUMNS = ("event_type", "workflow", "job", "branch", "status")


@dataclass(frozen=True, kw_only=True)
class Block:
    """A webhook with its projects."""

    name: str
    webhook: conf.Webhook | None  # None: it is no longer configured.
    own: Source | None  # The row of the webhook itself; None until the watch has run since the webhook was configured.
    is_muted: bool  # With all its projects.
    refused: int  # At its own URL, in the last day.
    rotation: Rotation | None  # None if it has no older secret.
    setup: WebhookSetup | None  # None once an event has arrived.
    rows: list[SourceRow]
    hidden: int  # How many further rows there are.


def read_blocks(*, project: str, refused: Counter[str], setup: Setup, now: datetime) -> list[Block]:
    """Return the configured webhooks in order, then others that have sources, in a fixed number of queries.

    Args:
        project: a part of a project's name or slug; with an empty one, all projects are shown.
        refused: how many deliveries were refused lately, by the last part of the URL.
        setup: how far the setup of each webhook is.
        now: the current time.
    """
    by_webhook: defaultdict[str, list[Source]] = defaultdict(list)
    for source in _sources(project, now):
        by_webhook[source.webhook].append(source)
    projects = [source for sources in by_webhook.values() for source in _shown(sources, project)]
    shown: defaultdict[str, list[SourceRow]] = defaultdict(list)
    for row in source_rows(sorted(projects, key=sort_key)[:MOST_SHOWN], now):
        shown[row.source.webhook].append(row)
    rotations = read_rotations(read_uses())
    setups = {each.webhook.name: each for each in setup.webhooks if each.first_event_at is None}
    configured = {webhook.name: webhook for webhook in conf.webhooks()}
    return [
        _block(
            name,
            configured.get(name),
            by_webhook[name],
            shown[name],
            hidden=len(_shown(by_webhook[name], project)) - len(shown[name]),
            refused=refused[configured[name].slug] if name in configured and configured[name].slug else 0,
            rotation=rotations.get(name),
            setup=setups.get(name),
            now=now,
        )
        for name in [*configured, *sorted(by_webhook.keys() - configured.keys())]
    ]


def _sources(project: str, now: datetime) -> QuerySet[Source]:
    """Return the webhooks' own rows, and those of the projects that are shown."""
    columns = [column.name for column in Source._meta.concrete_fields]
    is_shown = Q(last_delivery_at=None) | Q(last_delivery_at__gte=now - SHOWN_FOR)
    found = Q(project__icontains=project) | Q(project_slug__icontains=project) if project else Q()
    return (
        Source.objects.filter(Q(project_slug="") | (is_shown & found))
        .select_related("last_event", "muted_by")
        .only(*columns, *(f"last_event__{column}" for column in EVENT_COLUMNS), "muted_by__username")
    )


def _shown(sources: Sequence[Source], project: str) -> list[Source]:
    """Return the projects of a webhook. One without any shows its own row, unless the page is filtered by project."""
    projects = [source for source in sources if source.project_slug]
    return projects if projects or project else [source for source in sources if source.last_delivery_at]


def _block(  # noqa: PLR0913 - each part is read for all blocks together
    name: str,
    webhook: conf.Webhook | None,
    sources: Sequence[Source],
    rows: list[SourceRow],
    *,
    hidden: int,
    refused: int,
    rotation: Rotation | None,
    setup: WebhookSetup | None,
    now: datetime,
) -> Block:
    own = next((source for source in sources if not source.project_slug), None)
    return Block(
        name=name,
        webhook=webhook,
        own=own,
        is_muted=own is not None and own.is_muted(now),
        refused=refused,
        rotation=rotation,
        setup=setup,
        rows=rows,
        hidden=hidden,
    )
