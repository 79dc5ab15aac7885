"""Decide which event an id names, which events a bound webhook may change, and which version is the newest.

ADR 11 gives the reasons. A payload's project slug proves neither its event id nor its project id: a webhook that is
bound to `projects` could use another project's ids.
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
    """How an event relates to the row that has its id."""

    VERSION = auto()  # The row and the event are versions of one event; the newest is shown.
    CLAIM = auto()  # The row only claimed the event's id, and the event replaces it.
    UNRELATED = auto()  # Neither sender may speak for the other's project, so the owner of the id cannot be proved.


def relate(event: Event, known: WorkflowEvent, sender: Sender) -> Relation:
    """Decide how an event relates to the row that has its id. Call it while the row is locked.

    Args:
        event: as read from the delivery.
        known: the row.
        sender: the event's sender, which may speak for the event's project.

    Raises:
        ProjectRefused: the row belongs to another project, and only the row's sender may speak for both projects.
    """
    if event.project_slug == known.project_slug:
        return Relation.VERSION
    # An unsigned sender can claim anything, so it may not replace a signed event.
    may_replace = sender.verified >= known.verified and sender.webhook.may_speak_for(known.project_slug)
    owner_may_replace = known.verified >= sender.verified and _owner_may_speak_for(event.project_slug, known)
    if may_replace:
        return Relation.VERSION if owner_may_replace else Relation.CLAIM
    if owner_may_replace:
        name = sender.webhook.name
        raise ProjectRefused(
            f"webhook {name} may not send events of the project {known.project_slug!r}, which has this event id"
        )
    return Relation.UNRELATED


def _owner_may_speak_for(project_slug: str, known: WorkflowEvent) -> bool:
    """Whether the webhook that sent the shown version may speak for a project; False if the sender is unknown."""
    owner = known.deliveries.versions().values_list("webhook", flat=True).first()
    return any(webhook.may_speak_for(project_slug) for webhook in conf.webhooks() if webhook.name == owner)


def id_of_its_own(event: Event) -> str:
    """Return another id for an event whose id is taken; the new id is the same for all versions of the event.

    The id is derived with a secret key: a sender that could compute the id could also claim it.
    """
    mac = salted_hmac("logs.ingest.identity", f"{event.project_slug}\0{event.event_id}", algorithm="sha256").hexdigest()
    return f"{event.event_id[: MAX_ID_LENGTH - MAC_LENGTH - 1]}~{mac[:MAC_LENGTH]}"


def require_own_project_id(event: Event, sender: Sender) -> None:
    """Check that a bound webhook does not use the id of a project that it may not speak for.

    Raises:
        ProjectRefused: the project id was last seen with the slug of a project that the webhook may not speak for.
    """
    webhook = sender.webhook
    if not webhook.projects or not event.project_id:
        return
    # An event without a slug names no project that could own the id or be added to the webhook's projects.
    named = WorkflowEvent.objects.exclude(project_slug="")
    seen = named.filter(project_id=event.project_id, verified__gte=sender.verified).newest_first()
    slug = seen.values_list("project_slug", flat=True).first()
    if slug is not None and slug != event.project_slug and not webhook.may_speak_for(slug):
        raise ProjectRefused(
            f"webhook {webhook.name} may not send events of the project {slug!r}, which has the id {event.project_id!r}"
            "; if the project was renamed, add that slug to the webhook's projects in CIRCLECI_WEBHOOK_SECRETS"
        )


def is_same_version(row: WorkflowEvent, known: WorkflowEvent) -> bool:
    """Return whether a row is the version that the log shows; a retry arrives later, but is not newer."""
    return _as_sent(row) == _as_sent(known)


def is_newer_version(row: WorkflowEvent, known: WorkflowEvent) -> bool:
    """Return whether a row, just received, is newer than the version that the log shows.

    Times are capped at one day after a version's arrival. Without this limit, a version from the year 9998 would be the
    newest forever. A capped time grows with each arrival, so a capped version must also be newer as sent:
    otherwise, two capped versions would replace each other endlessly.
    """
    sent, capped = _as_sent(row), _capped(row, row.received_at)
    return capped > _capped(known, _arrival_of_shown_version(known)) and (capped == sent or sent > _as_sent(known))


# The sort key for an event's versions. `verified` is first: an unsigned version never replaces a signed one, whatever
# times it claims.
Version = tuple[bool, datetime, datetime]


def _as_sent(row: WorkflowEvent) -> Version:
    return (row.verified, row.happened_at or NEVER, row.stopped_at or NEVER)


def _capped(row: WorkflowEvent, arrived_at: datetime) -> Version:
    verified, *times = _as_sent(row)
    happened_at, stopped_at = (min(time, arrived_at + MAX_AHEAD) for time in times)
    return (verified, happened_at, stopped_at)


def _arrival_of_shown_version(known: WorkflowEvent) -> datetime:
    """Return the arrival time of the version that a row shows.

    If retention has removed that version's delivery, return the row's last write time. It may be later, because a
    replay also writes the row.
    """
    if max(_as_sent(known)[1:]) <= known.received_at + MAX_AHEAD:
        return known.received_at  # The first version's arrival; a later version's would cap nothing either.
    arrival = known.deliveries.versions().values_list("received_at", flat=True).first()
    return arrival or known.changed_at or known.received_at
