"""A notification, as lists and pages show it."""

from dataclasses import dataclass

from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from logs.models import Notification, NotificationAttempt, NotificationState
from logs.notifications.alarm_content import headline_of
from logs.times import duration


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownNotification:
    """A notification with its subject and its doubt."""

    notification: Notification
    subject: str  # Untrusted.
    event_key: int | None  # None without an event, or without permission to view it.
    doubt: str  # "may have been sent twice"; "" for none.
    waits_for: str  # "channel is disabled"; "" if it does not wait, or can be sent now.


def with_subjects(rows: QuerySet[Notification]) -> QuerySet[Notification]:
    """Load what `shown` needs."""
    # Loads `cryptography`, 9 MiB that a process needs only for these pages.
    from logs.notifications.sending import LEASE  # noqa: PLC0415

    # After the lease, an attempt without an end has failed: its process no longer has the channel.
    unfinished = NotificationAttempt.objects.filter(
        notification=OuterRef("pk"), ended_at=None, started_at__lte=timezone.now() - LEASE
    )
    return rows.select_related("change", "event", "alarm").annotate(is_doubtful=Exists(unfinished))


def shown(notification: Notification, *, may_see_events: bool) -> ShownNotification:
    """Return what pages show of a notification that `with_subjects` has loaded."""
    return ShownNotification(
        notification=notification,
        subject=_subject_of(notification),
        event_key=notification.event.pk if notification.event and may_see_events else None,
        doubt=_doubt_about(notification),
        waits_for=_waits_for(notification) if notification.state == NotificationState.WAITING else "",
    )


def _subject_of(notification: Notification) -> str:
    change, content, alarm = notification.change, notification.content or {}, notification.alarm
    if change:
        return _("%(project)s · %(workflow)s on %(branch)s") % {
            "project": change.project,
            "workflow": change.workflow,
            "branch": change.branch,
        }
    if headline := str(content.get("headline", "")):
        project = content.get("project")
        return f"{project} · {headline}" if project else headline
    if alarm:
        return headline_of(alarm)
    event = notification.event
    return f"{event.project} · {event.workflow}" if event else ""


def _doubt_about(notification: Notification) -> str:
    if not getattr(notification, "is_doubtful", False):
        return ""
    is_sent = notification.state == NotificationState.SENT
    return _("may have been sent twice") if is_sent else _("may have been sent")


def _waits_for(notification: Notification) -> str:
    channel = notification.channel
    if not channel.enabled:
        return _("channel is disabled")
    if channel.is_muted:
        return _("channel is muted")
    seconds = (channel.not_before - timezone.now()).total_seconds() if channel.not_before else 0
    return _("next attempt in %(duration)s") % {"duration": duration(seconds)} if seconds > 0 else ""
