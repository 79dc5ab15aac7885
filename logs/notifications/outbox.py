"""The outbox: which notifications are to be sent. It is written in the transaction that notes a change."""

import hashlib
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from secrets import token_hex
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from logs.conf import is_default_branch
from logs.models import StateChange
from logs.models.notifications import Channel, Notification, NotificationKind, NotificationState, Site
from logs.notifications.channels import TRANSPORTS
from logs.transactions import LOCK_PAUSE_SECONDS, durable_transaction

THREAD_DIGITS = 16
# The end of an incident is sent however long its channel was disabled or muted: it would stay open forever.
END_LIFETIME = timedelta(days=365)
TEST_LIFETIME = timedelta(minutes=10)
DELETED_TOGETHER = 500  # Rows per transaction.


class ChannelDisabled(Exception):
    """A disabled channel sends nothing, not even a test."""


def enqueue(changes: Sequence[StateChange]) -> bool:
    """Notify each enabled channel of each loud change on a default branch; return whether there is anything to send.

    A disabled channel gets the ends of the incidents that it has opened; they wait until it is enabled.
    Call it in the transaction that stores the changes. Adding a change again adds nothing.
    """
    loud = [
        change
        for change in changes
        if not change.quiet_reason and is_default_branch(change.project_slug, change.branch)
    ]
    channels = list(Channel.objects.filter(kind__in=TRANSPORTS)) if loud else []
    if not channels:
        return False
    site_id, now = _site_id(), timezone.now()
    threads = {change: thread_of(site_id, change.project_slug, change.workflow, change.branch) for change in loud}
    fixed = [thread for change, thread in threads.items() if change.kind == NotificationKind.FIXED]
    incidents = _open_incidents(fixed, channels)
    notifications = [
        Notification(
            channel=channel,
            kind=change.kind,
            key=f"{change.kind}:{change.pk}:{channel.pk}",
            thread=thread,
            change=change,
            event_id=change.event_id,
            created_at=now,
            expires_at=now + (END_LIFETIME if (channel.pk, thread) in incidents else TRANSPORTS[channel.kind].lifetime),
        )
        for change, thread in threads.items()
        for channel in channels
        if channel.enabled or (channel.pk, thread) in incidents
    ]
    Notification.objects.bulk_create(notifications, ignore_conflicts=True)
    return bool(notifications)


def _open_incidents(threads: Sequence[str], channels: Iterable[Channel]) -> set[tuple[int, str]]:
    """Return the (channel, thread) in which the last message is a breakage that was sent and is not combined."""
    keys = [channel.pk for channel in channels if not TRANSPORTS[channel.kind].is_combined]
    if not (threads and keys):
        return set()
    sent = Notification.objects.filter(thread__in=threads, channel__in=keys).order_by("pk")
    last = {row[:2]: row[2:] for row in sent.values_list("channel_id", "thread", "kind", "state")}
    return {key for key, found in last.items() if found == (NotificationKind.BROKE, NotificationState.SENT)}


def thread_of(site_id: str, project_slug: str, workflow: str, branch: str) -> str:
    """Return the id that all messages about a workflow on a branch share at a vendor."""
    digest = hashlib.sha256(f"{site_id}\0{project_slug}\0{workflow}\0{branch}".encode()).hexdigest()
    return f"wl-{digest[:THREAD_DIGITS]}"


def add_test(channel: Channel) -> Notification:
    """Add a test message to a channel; it is sent before all others, even if the channel pauses.

    Raises:
        ChannelDisabled: the channel is disabled.
    """
    now = timezone.now()
    with transaction.atomic():
        if not Channel.objects.filter(pk=channel.pk, enabled=True).update(not_before=None):
            raise ChannelDisabled(f"The channel {channel.name} is disabled. Enable it before you send a test.")
        return Notification.objects.create(
            channel=channel,
            kind=NotificationKind.TEST,
            key=f"test:{token_hex(8)}:{channel.pk}",
            thread=thread_of(_site_id(), "", "test", str(channel.pk)),
            created_at=now,
            expires_at=now + TEST_LIFETIME,
        )


def recovered(waiting: Iterable[Any]) -> set[int]:
    """Return the keys of breakages that were fixed before they were reported, and of their ends.

    Args:
        waiting: a channel's notifications that are still to be sent, or rows of them, oldest first.
    """
    found, unreported = set[int](), dict[str, int]()
    for notification in waiting:
        if notification.kind == NotificationKind.BROKE and not notification.attempts_made:
            unreported[notification.thread] = notification.pk
        elif notification.kind == NotificationKind.FIXED and notification.thread in unreported:
            found |= {unreported.pop(notification.thread), notification.pk}
    return found


def expire_overdue() -> None:
    """Give up what waited too long, also in channels that are disabled or muted."""
    overdue = Notification.objects.waiting().filter(expires_at__lte=timezone.now())
    if overdue.exists():
        with durable_transaction():
            overdue.update(state=NotificationState.EXPIRED)


def delete_old() -> Iterator[int]:
    """Delete what is older than NOTIFICATION_RETENTION_DAYS and no longer waits, with its attempts.

    Yield the number of deleted notifications after each batch.
    """
    oldest = timezone.now() - timedelta(days=settings.NOTIFICATION_RETENTION_DAYS)
    old = Notification.objects.exclude(state=NotificationState.WAITING).filter(created_at__lt=oldest).order_by("pk")
    while True:
        keys = list(old.values_list("pk", flat=True)[:DELETED_TOGETHER])
        if keys:
            with durable_transaction():
                # Without only(), Django would load whole rows to find dependent rows.
                Notification.objects.filter(pk__in=keys).only("pk").delete()
        yield len(keys)
        if len(keys) < DELETED_TOGETHER:
            return
        time.sleep(LOCK_PAUSE_SECONDS)


def _site_id() -> str:
    return Site.objects.get_or_create(pk=1)[0].site_id
