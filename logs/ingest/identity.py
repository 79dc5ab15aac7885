"""Which event an id names: what a webhook for some projects may not change, and which version is the newest.

ADR 11 has the reasons. Two kinds of ids in a payload are not proved by its project's slug: the event's and the
project's. A webhook that is bound to `projects` could use another project's.
"""

from datetime import UTC, datetime, timedelta
from enum import Enum, auto

from django.utils.crypto import salted_hmac

from logs import conf
from logs.circleci.payload import MAX_ID_LENGTH, Event
from logs.exceptions import ProjectRefused
from logs.ingest.records import Sender
from logs.models import WorkflowEvent

MAX_AHEAD = timedelta(days=1)
MAC_LENGTH = 16
NEVER = datetime.min.replace(tzinfo=UTC)


class Relation(Enum):
    """What an event is to the row that has its id."""

    VERSION = auto()  # Of the same event: the newest is shown.
    CLAIM = auto()  # The row is a claim to the event's id, which the event replaces.
    UNRELATED = auto()  # Neither sender may speak for the other's project, so nothing proves whose id it is.


def relate(event: Event, known: WorkflowEvent, sender: Sender) -> Relation:
    """Decide what an event may do to the row that has its id. Call it while the row is locked.

    Args:
        event: as read from the delivery.
        known: the row.
        sender: the event's, who may speak for its project.

    Raises:
        ProjectRefused: the row is another project's, and its sender may speak for both.
    """
    if event.project_slug == known.project_slug:
        return Relation.VERSION
    # An unsigned sender may say anything, so it has no say about what is signed.
    may_replace = sender.verified >= known.verified and sender.webhook.may_speak_for(known.project_slug)
    owner_may_replace = known.verified >= sender.verified and _owner_may_speak_for(event.project_slug, known)
    if may_replace:
        return Relation.VERSION if owner_may_replace else Relation.CLAIM
    if owner_may_replace:
        name = sender.webhook.name
        raise ProjectRefused(
            f"webhook {name} may not speak for the project {known.project_slug!r}, which has this event id"
        )
    return Relation.UNRELATED


def _owner_may_speak_for(project_slug: str, known: WorkflowEvent) -> bool:
    """Whether the webhook that sent the shown version may; False if that webhook is unknown by now."""
    shown = known.deliveries.only("webhook").of_shown_version()
    return any(
        webhook.may_speak_for(project_slug) for webhook in conf.webhooks() if shown and webhook.name == shown.webhook
    )


def id_of_its_own(event: Event) -> str:
    """Return another id for an event whose id is taken; the same for each of its versions.

    It is keyed, because a sender that could compute it could take it too.
    """
    mac = salted_hmac("logs.ingest.identity", f"{event.project_slug} {event.event_id}", algorithm="sha256").hexdigest()
    return f"{event.event_id[: MAX_ID_LENGTH - MAC_LENGTH - 1]}~{mac[:MAC_LENGTH]}"


def require_own_project_id(event: Event, sender: Sender) -> None:
    """Check that a bound webhook uses no project id that belongs to a project it may not speak for.

    Raises:
        ProjectRefused: the id was last seen with the slug of such a project.
    """
    webhook = sender.webhook
    if not webhook.projects or not event.project_id:
        return
    # Without a slug, an event names no project that could own the id, and none to add to the webhook's projects.
    named = WorkflowEvent.objects.exclude(project_slug="")
    seen = named.filter(project_id=event.project_id, verified__gte=sender.verified).newest_first()
    slug = seen.values_list("project_slug", flat=True).first()
    if slug is not None and slug != event.project_slug and not webhook.may_speak_for(slug):
        raise ProjectRefused(
            f"webhook {webhook.name} may not speak for the project {slug!r}, which has the id {event.project_id!r};"
            " if the project was renamed, add that slug to the webhook's projects in CIRCLECI_WEBHOOK_SECRETS"
        )


def version_of(row: WorkflowEvent, arrived_at: datetime) -> tuple[bool, datetime, datetime]:
    """Return the key that orders the versions of one event: the greatest is the newest.

    `verified` is first: an unsigned version never replaces a signed one, whatever times it claims. Times count as a day
    after the version's arrival at most. Without this bound, a version from the year 9998 would be the newest forever.
    """
    latest = arrived_at + MAX_AHEAD
    happened_at, stopped_at = (min(time, latest) if time else NEVER for time in (row.happened_at, row.stopped_at))
    return (row.verified, happened_at, stopped_at)


def arrival_of_shown_version(known: WorkflowEvent) -> datetime:
    """Return when the version that a row shows arrived.

    If retention has removed its delivery, this is when the row was last written, which may be later: a replay writes it
    too.
    """
    shown = known.deliveries.only("received_at").of_shown_version()
    return shown.received_at if shown else known.changed_at or known.received_at


def is_same_version(row: WorkflowEvent, known: WorkflowEvent) -> bool:
    """Return whether a row tells of the version that the log shows; a retry arrives later, but is not newer."""
    return all(getattr(row, name) == getattr(known, name) for name in ("verified", "happened_at", "stopped_at"))
