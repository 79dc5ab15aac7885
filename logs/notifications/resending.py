"""Send a notification again, or drop one that waits: the requests of operators."""

from secrets import token_hex

from django.db import transaction
from django.utils import timezone

from logs.models import Alarm, StateChange
from logs.models.notifications import CHAT_LIFETIME, Channel, Notification, NotificationKind, NotificationState
from logs.notifications.channels import TRANSPORTS
from logs.notifications.composing import compose
from logs.notifications.outbox import AGAIN, BEGINNINGS, ENDS
from logs.standings.judging import branch_of, key_of

RESENDABLE = (
    NotificationState.SENT,
    NotificationState.FAILED,
    NotificationState.EXPIRED,
    NotificationState.DROPPED,
)


class Impossible(Exception):
    """A notification cannot be sent again or dropped; the message gives the reason."""


def send_again(key: int) -> Notification:
    """Add a copy of a notification to its channel's queue, after all that waits, and return the copy.

    The original keeps its state and its attempts. The copy has an id of its own, by which a receiver would otherwise
    take it for a repetition.

    Raises:
        Impossible: the message cannot be sent again.
    """
    with transaction.atomic():
        # A second request waits for the first one, and then finds its copy.
        notification = Notification.objects.select_for_update().get(pk=key)
        channel = Channel.objects.get(pk=notification.channel_id)
        if reason := _obstacle(notification, channel):
            raise Impossible(reason)
        now = timezone.now()
        return Notification.objects.create(
            channel=channel,
            kind=notification.kind,
            key=f"{AGAIN}{key}:{token_hex(8)}",
            thread=notification.thread,
            change_id=notification.change_id,
            event_id=notification.event_id,
            rule_id=notification.rule_id,
            alarm_id=notification.alarm_id,
            content=_content_of(notification),
            created_at=now,
            expires_at=now + max(CHAT_LIFETIME, notification.expires_at - notification.created_at),
        )


def drop(key: int) -> None:
    """Drop a notification that waits. An attempt that has begun may still send it.

    Raises:
        Impossible: it does not wait.
    """
    if not Notification.objects.waiting().filter(pk=key).update(state=NotificationState.DROPPED):
        raise Impossible("Only a waiting message can be dropped.")


def original_of(notification: Notification) -> int | None:
    """Return the primary key of the notification that this one repeats; None if it is not a copy."""
    is_copy = notification.key.startswith(AGAIN)
    return int(notification.key.split(":")[1]) if is_copy else None


def _obstacle(notification: Notification, channel: Channel) -> str:
    """Return why a notification cannot be sent again; "" if it can."""
    if notification.kind == NotificationKind.TEST:
        return "Send a new test message instead."
    if notification.state not in RESENDABLE:
        return f"A message that is {notification.state} cannot be sent again."
    if not channel.enabled:
        return "Enable the channel before you send the message again."
    if channel.notifications.waiting().filter(key__startswith=f"{AGAIN}{notification.pk}:").exists():
        return "A copy of this message is already waiting."
    if _is_overtaken(notification, channel):
        return "There is a newer message about this alarm or branch. Send that one again."
    return ""


def _is_overtaken(notification: Notification, channel: Channel) -> bool:
    """Return whether the message would reopen what is over, or end what began later, in a channel with incidents."""
    transport = TRANSPORTS.get(channel.kind)
    if transport is None or transport.is_combined or notification.kind not in (*BEGINNINGS, *ENDS):
        return False
    if channel.notifications.filter(thread=notification.thread, pk__gt=notification.pk).exists():
        return True
    if notification.kind == NotificationKind.ALARM:
        return not Alarm.objects.open().filter(pk=notification.alarm_id or 0).exists()
    change = StateChange.objects.filter(pk=notification.change_id or 0).first()
    if change is None:
        return notification.kind in BEGINNINGS
    return StateChange.objects.filter(pk__gt=change.pk, **key_of(branch_of(change))).exists()


def _content_of(notification: Notification) -> object:
    """Return what was sent; a digest is composed from its parts, which belong to the original."""
    if notification.content is None and notification.kind == NotificationKind.DIGEST:
        return compose(notification).to_json()
    return notification.content
