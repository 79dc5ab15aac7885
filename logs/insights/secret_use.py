"""Report which secret signed each project's latest deliveries, and whether an older secret may be removed."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from logs import conf
from logs.models import Delivery, WorkflowEvent
from logs.reading.choices import values_of
from logs.replica import reading_connection

MAX_PROJECTS = 5_000  # Only signed payloads name projects, so a stranger cannot add any.

# The newest delivery for each webhook, secret and project, by a loose index scan (see `logs.reading.choices`). NULL is
# never greater, so the scan neither leaves nor enters the group of deliveries without a fingerprint: they are selected
# separately. ORDER BY repeats all index columns, because PostgreSQL does not use the index for `id DESC` after IS NULL.
_NEWEST = """
WITH RECURSIVE configured (name) AS (VALUES {names}), newest (id, number) AS (
    SELECT (
        SELECT id FROM logs_delivery WHERE webhook = configured.name AND secret_fingerprint IS NULL
        ORDER BY secret_fingerprint, project_slug, id DESC LIMIT 1
    ), 1 FROM configured
    UNION ALL
    SELECT (
        SELECT id FROM logs_delivery WHERE webhook = configured.name AND secret_fingerprint >= ''
        ORDER BY secret_fingerprint, project_slug, id DESC LIMIT 1
    ), 1 FROM configured
    UNION ALL
    SELECT (
        SELECT following.id FROM logs_delivery AS following
        WHERE following.webhook = known.webhook
        AND (following.secret_fingerprint, following.project_slug) > (known.secret_fingerprint, known.project_slug)
        ORDER BY following.secret_fingerprint, following.project_slug, following.id DESC LIMIT 1
    ), number + 1
    FROM newest JOIN logs_delivery AS known ON known.id = newest.id WHERE number < %s
)
SELECT delivery.id, delivery.webhook, delivery.secret_fingerprint, delivery.project_slug, delivery.received_at,
    event.project AS project_name
FROM newest JOIN logs_delivery AS delivery ON delivery.id = newest.id
LEFT JOIN logs_workflowevent AS event ON event.id = delivery.event_id
"""

# Each webhook's projects without a stored fingerprint: their deliveries were stored without a fingerprint, or retention
# has removed the deliveries and only the webhook's name in the payload remains.
_WITHOUT_FINGERPRINT = """
WITH candidate (slug) AS (VALUES {slugs}), rotating (webhook) AS (VALUES {names})
SELECT webhook, slug FROM rotating CROSS JOIN candidate WHERE EXISTS (
    SELECT 1 FROM (
        SELECT id, name, verified FROM logs_workflowevent WHERE project_slug = slug
        ORDER BY received_at DESC, id DESC LIMIT 20
    ) AS event
    WHERE event.verified AND (
        EXISTS (SELECT 1 FROM logs_delivery WHERE event_id = event.id AND logs_delivery.webhook = rotating.webhook)
        OR event.name = rotating.webhook AND NOT EXISTS (SELECT 1 FROM logs_delivery WHERE event_id = event.id)
    )
)
"""


@dataclass(frozen=True, kw_only=True)
class Use:
    """The newest delivery for one combination of webhook, project and secret."""

    fingerprint: str | None  # None: stored by a version that recorded none; "": from an unsigned webhook.
    project_slug: str  # "" for a delivery without a project: a ping, or a refused one.
    project: str  # The project's name if the log has it, else its slug.
    key: int  # The delivery's primary key; later deliveries have greater keys, whatever the clock shows.
    received_at: datetime


class Removal(StrEnum):
    """Whether an older secret may be removed."""

    SAFE = "safe"
    IN_USE = "in use"
    NOT_YET = "not yet"  # CircleCI has not used the newest secret.
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class Behind:
    """A project that still uses an older configured secret."""

    project: str  # Its name, or its slug if another project has the same name; "" for deliveries without a project.
    position: int  # The secret's position in the webhook's list.
    received_at: datetime  # When the last delivery signed with that secret arrived.


@dataclass(frozen=True, kw_only=True)
class Rotation:
    """The progress of a webhook's projects towards the webhook's newest secret."""

    projects: int
    on_newest: int
    behind: list[Behind]  # Latest delivery first.
    unknown: list[str]  # The names or slugs of the projects whose secret is unknown.
    removals: list[Removal]  # For each older secret, in order.

    @property
    def removal(self) -> Removal:
        """Whether all older secrets may be removed."""
        by_urgency = (Removal.NOT_YET, Removal.IN_USE, Removal.UNKNOWN)
        return next((each for each in by_urgency if each in self.removals), Removal.SAFE)


# A project's last uses, keyed by the secret's position in the webhook's list; None is any secret not in the list.
Uses = dict[int | None, Use]


def read_uses() -> dict[str, list[Use]]:
    """Return the newest delivery for each secret and project, keyed by the configured webhook's name."""
    uses: dict[str, list[Use]] = {webhook.name: [] for webhook in conf.webhooks()}
    if not uses:
        return uses
    sql = _NEWEST.format(names=_values(uses))
    rows: Any = Delivery.objects.raw(sql, [*uses, MAX_PROJECTS])
    for row in rows:
        slug = row.project_slug or ""
        use = Use(
            fingerprint=row.secret_fingerprint,
            project_slug=slug,
            project=row.project_name or slug,
            key=row.pk,
            received_at=row.received_at,
        )
        uses[row.webhook].append(use)
    return uses


def read_rotations(uses: Mapping[str, Sequence[Use]]) -> dict[str, Rotation]:
    """Return the rotation of each webhook that has older secrets, keyed by the webhook's name.

    A project is unknown if its deliveries do not show which secret it uses: they were stored before fingerprints were
    recorded, signed with a secret that is not configured, stored under another SECRET_KEY, or removed by retention.

    Args:
        uses: the result of `read_uses`.
    """
    rotating = {each.name: _by_project(each, uses[each.name]) for each in conf.webhooks() if len(each.secrets) > 1}
    if not rotating:
        return {}
    slugs = values_of(WorkflowEvent, "project_slug", most=MAX_PROJECTS)
    silent = _without_fingerprint(rotating, slugs)
    return {
        webhook.name: _rotation(
            webhook,
            rotating[webhook.name],
            silent=[slug for slug in silent[webhook.name] if webhook.may_speak_for(slug)],
            is_cut=max(len(uses[webhook.name]), len(slugs)) >= MAX_PROJECTS,
        )
        for webhook in conf.webhooks()
        if webhook.name in rotating
    }


def _rotation(webhook: conf.Webhook, by_project: Mapping[str, Uses], *, silent: list[str], is_cut: bool) -> Rotation:
    unsettled, names = _unsettled(by_project), _names(by_project)
    last = {slug: max(some.items(), key=lambda each: each[1].key) for slug, some in unsettled.items()}
    behind = [
        Behind(project=names[slug], position=position, received_at=use.received_at)
        for slug, (position, use) in sorted(last.items(), key=lambda each: each[1][1].key, reverse=True)
        if position is not None
    ]
    unknown = [names[slug] for slug, (position, _) in last.items() if slug and position is None]
    projects = set(filter(None, by_project))
    return Rotation(
        projects=len(projects) + len(silent),
        on_newest=len(projects - last.keys()),
        behind=behind,
        unknown=sorted(unknown + silent),
        removals=_removals(webhook, by_project, unsettled, has_unknown=bool(silent) or is_cut),
    )


def _by_project(webhook: conf.Webhook, uses: Sequence[Use]) -> dict[str, Uses]:
    fingerprints = webhook.fingerprints
    by_project: defaultdict[str, Uses] = defaultdict(dict)
    for use in sorted(uses, key=lambda use: use.key):  # The latest of several unknown secrets wins.
        if use.fingerprint != "":
            position = fingerprints.index(use.fingerprint) if use.fingerprint in fingerprints else None
            by_project[use.project_slug][position] = use
    return dict(by_project)


def _unsettled(by_project: Mapping[str, Uses]) -> dict[str, Uses]:
    """Return each project's uses of other secrets since its last use of the newest one; omit projects without any.

    A delivery without a project may belong to any. It is settled once all projects have since used the newest secret.
    """
    newest = {slug: uses[0].key if 0 in uses else 0 for slug, uses in by_project.items()}
    if "" in newest:
        newest[""] = max(newest[""], min((key for slug, key in newest.items() if slug), default=0))
    unsettled = {
        slug: {position: use for position, use in uses.items() if position != 0 and use.key > newest[slug]}
        for slug, uses in by_project.items()
    }
    return {slug: uses for slug, uses in unsettled.items() if uses}


def _removals(
    webhook: conf.Webhook, by_project: Mapping[str, Uses], unsettled: Mapping[str, Uses], *, has_unknown: bool
) -> list[Removal]:
    older = range(1, len(webhook.secrets))
    if not any(0 in uses for uses in by_project.values()):
        return [Removal.NOT_YET for _ in older]
    positions = {position for uses in unsettled.values() for position in uses}
    otherwise = Removal.UNKNOWN if has_unknown or None in positions else Removal.SAFE
    return [Removal.IN_USE if position in positions else otherwise for position in older]


def _names(by_project: Mapping[str, Uses]) -> dict[str, str]:
    """Return each project's name, or its slug if another project has the same name."""
    names = {slug: max(uses.values(), key=lambda use: use.key).project for slug, uses in by_project.items()}
    count = Counter(names.values())
    return {slug: name if count[name] == 1 else slug for slug, name in names.items()}


def _without_fingerprint(rotating: Mapping[str, Mapping[str, Uses]], slugs: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {name: [] for name in rotating}
    candidates = [slug for slug in slugs if not all(slug in by_project for by_project in rotating.values())]
    if candidates:
        sql = _WITHOUT_FINGERPRINT.format(slugs=_values(candidates), names=_values(rotating))
        with reading_connection().cursor() as cursor:
            cursor.execute(sql, [*candidates, *rotating])
            for name, slug in cursor.fetchall():
                if slug not in rotating[name]:
                    found[name].append(slug)
    return found


def _values(values: Collection[object]) -> str:
    """Return the placeholders of a VALUES list with one row for each value."""
    return ", ".join(["(%s)"] * len(values))
