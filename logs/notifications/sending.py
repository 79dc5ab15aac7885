"""Send a channel's waiting notifications, one at a time, oldest first.

One process at a time holds a channel's lease. Each message takes two short transactions: one before it is sent, one
with the result. After a crash in between, the message is sent again; its attempt without an end says so.
"""

import logging
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from secrets import token_hex
from typing import Any

from django.db import DatabaseError, Error, connection
from django.db.models import Case, F, Value, When
from django.utils import timezone

from logs.models.notifications import (
    MAX_REASON_LENGTH,
    Channel,
    Notification,
    NotificationAttempt,
    NotificationKind,
    NotificationState,
)
from logs.notifications.channels import TRANSPORTS
from logs.notifications.channels.base import Outcome, Refused, Sent, Transport, plain
from logs.notifications.composing import compose
from logs.notifications.consequences import DISABLED, consequences
from logs.notifications.content import Content
from logs.notifications.delivering import deliver
from logs.notifications.sealing import UnreadableSecret, unseal
from logs.transactions import durable_transaction, is_outside_transactions

logger = logging.getLogger(__name__)

# Longer than one message may take: two requests (guard.py) or an e-mail, and some seconds for clocks that differ.
LEASE = timedelta(seconds=60)
STORE_PAUSES_SECONDS = (1, 2, 4, 8, 15)  # Between the attempts to store a result; together half of the lease.
SLICE_SECONDS = 5  # After this time, the sender ends, so that other channels get its thread.
STORM = 5  # If more messages wait, they are combined.
MOST_IN_DIGEST = 50
SINGLE = (NotificationKind.TEST, NotificationKind.DIGEST, NotificationKind.ALARM, NotificationKind.ALARM_OVER)
# A test goes first, then what was tried before, then a digest, whose parts are older than all others. Alarms are never
# combined: many of them must not delay changes.
URGENCY = Case(
    When(kind=NotificationKind.TEST, then=Value(0)),
    When(attempts_made__gt=0, then=Value(1)),
    When(kind=NotificationKind.DIGEST, then=Value(2)),
    When(kind__in=(NotificationKind.ALARM, NotificationKind.ALARM_OVER), then=Value(4)),
    default=Value(3),
)


class Stopped(Exception):
    """Another process has the channel now, or it was changed meanwhile."""


class NotStored(Exception):
    """The result of an attempt could not be stored."""


def send_waiting(channel_key: int, *, is_stopping: Callable[[], bool]) -> bool:
    """Send what waits in a channel until nothing is left, it has to pause, its time is over, or the process stops.

    Return whether its time is over; then more messages may wait.
    """
    claim = token_hex(16)
    now = timezone.now()
    if not Channel.objects.due().filter(pk=channel_key).update(claim=claim, claimed_until=now + LEASE):
        return False
    end, is_stored, tidied = time.monotonic() + SLICE_SECONDS, True, set[int]()
    try:
        while not is_stopping() and _send_next(channel_key, claim, tidied):
            if time.monotonic() >= end:
                return True
    except Stopped:
        logger.info("channel %s: another process continues", channel_key)
    except NotStored:
        is_stored = False
        raise
    finally:
        if is_stored:  # Otherwise the message would be sent again immediately, as often as its result is not stored.
            Channel.objects.filter(pk=channel_key, claim=claim).update(claimed_until=None)
    return False


def _send_next(channel_key: int, claim: str, tidied: set[int]) -> bool:
    """Send the next message; return whether another one may follow.

    `tidied` collects the newest messages for which the queue was tidied. Reading it for each message would take
    quadratic time.
    """
    channel = Channel.objects.filter(pk=channel_key, claim=claim, enabled=True).first()
    if channel is None or channel.is_muted:
        return False
    transport = TRANSPORTS.get(channel.kind)
    if transport is None:
        return _disable(channel, claim, f"this site cannot send to the kind {channel.kind}: see CHANNEL_PLUGINS")
    try:
        secrets = unseal(channel.sealed)
    except UnreadableSecret as error:
        return _disable(channel, claim, str(error))
    newest = channel.notifications.waiting().order_by("-pk").values_list("pk", flat=True).first()
    if newest is not None and newest not in tidied:
        _tidy(channel, claim, transport)
        tidied.add(newest)
    notification = channel.notifications.waiting().order_by(URGENCY, "pk").first()
    if notification is None:
        return False
    pause = None if notification.kind == NotificationKind.TEST else _pause_of_limit(channel, transport)
    if pause:
        _update(channel, claim, not_before=pause)
        return False
    content = _content_of(notification)
    attempt = _begin(channel, claim, notification, content)
    _close_connection()  # Other threads may need it during the request, as a pool may be small.
    return attempt is None or _finish(channel, claim, attempt, *deliver(transport, notification, content, secrets))


def _content_of(notification: Notification) -> Content | None:
    """Return a notification's stored or new content; None if it cannot be composed, so that it blocks no others."""
    try:
        return Content.from_json(notification.content or compose(notification).to_json())
    except DatabaseError:
        raise
    except Exception:
        logger.exception("notification %s cannot be composed", notification.pk)
        return None


def _tidy(channel: Channel, claim: str, transport: Transport) -> None:
    """Expire what is too old, and combine the rest if too many wait."""
    columns = ("pk", "kind", "attempts_made", "expires_at")
    waiting = list(channel.notifications.waiting().order_by("pk").values_list(*columns, named=True))
    expired = {each.pk for each in waiting if each.expires_at <= timezone.now()}
    left = [each for each in waiting if each.pk not in expired]
    parts = [each for each in left if _is_combinable(each)] if transport.is_combined else []
    groups = [parts[start : start + MOST_IN_DIGEST] for start in range(0, len(parts), MOST_IN_DIGEST)]
    digests = [group for group in groups if len(group) > STORM]
    if not expired and not digests:
        return
    with durable_transaction():
        _update(channel, claim, claimed_until=timezone.now() + LEASE)
        still = channel.notifications.waiting()
        still.filter(pk__in=expired).update(state=NotificationState.EXPIRED)
        for group in digests:
            still.filter(pk__in=[part.pk for part in group]).update(
                state=NotificationState.MERGED, merged_into=_new_digest(channel, group)
            )


def _is_combinable(notification: Any) -> bool:
    return notification.kind not in SINGLE and not notification.attempts_made


def _new_digest(channel: Channel, parts: Sequence[Any]) -> Notification:
    return Notification.objects.create(
        channel=channel,
        kind=NotificationKind.DIGEST,
        key=f"digest:{parts[0].pk}:{channel.pk}",
        thread="",
        created_at=timezone.now(),
        expires_at=max(part.expires_at for part in parts),
    )


def _pause_of_limit(channel: Channel, transport: Transport) -> Any:
    """Return the time at which the channel may send again after its hourly limit; None if it may send now."""
    if not (transport.is_combined and channel.hourly_limit):
        return None
    recent = channel.notifications.filter(sent_at__gt=timezone.now() - timedelta(hours=1)).order_by("-sent_at")
    times = list(recent.values_list("sent_at", flat=True)[: channel.hourly_limit])
    oldest = times[-1] if len(times) == channel.hourly_limit else None
    return oldest and oldest + timedelta(hours=1)


def _begin(
    channel: Channel, claim: str, notification: Notification, content: Content | None
) -> NotificationAttempt | None:
    """Store the message and the beginning of an attempt, so that a retry sends the same bytes.

    Return None if the notification no longer waits.
    """
    now = timezone.now()
    with durable_transaction():
        _update(channel, claim, claimed_until=now + LEASE)
        begun = Notification.objects.waiting().filter(pk=notification.pk)
        if not begun.update(content=content and content.to_json(), attempts_made=F("attempts_made") + 1):
            return None
        return NotificationAttempt.objects.create(notification=notification, started_at=now)


def _finish(channel: Channel, claim: str, attempt: NotificationAttempt, outcome: Outcome, status: int | None) -> bool:
    """Store the result of an attempt; return whether the next message may follow.

    Raises:
        NotStored: the database was locked or unreachable all the time.
        Stopped: another process has the channel.
    """
    now = timezone.now()
    reason = "" if isinstance(outcome, Sent) else _storable(outcome.reason, MAX_REASON_LENGTH)
    attempt.ended_at, attempt.status, attempt.error = now, status, reason
    columns: dict[str, Any] = {"last_status": status, "last_error": reason}
    if isinstance(outcome, Sent):
        columns |= {"state": NotificationState.SENT, "sent_at": now}
    elif isinstance(outcome, Refused):
        columns |= {"state": NotificationState.FAILED}

    def store() -> None:
        with durable_transaction():
            attempt.save(update_fields=["ended_at", "status", "error"])
            Notification.objects.filter(pk=attempt.notification_id).update(**columns)
            _update(channel, claim, **consequences(channel, outcome, reason))

    _store_patiently(store)
    if not isinstance(outcome, Sent):
        logger.warning("channel %s: notification %s: %s", channel.pk, attempt.notification_id, reason)
    return isinstance(outcome, Sent | Refused)


def _store_patiently(store: Callable[[], None]) -> None:
    for pause_seconds in (*STORE_PAUSES_SECONDS, None):
        try:
            store()
        except Error as error:
            _close_connection()  # It may be broken.
            if pause_seconds is None:
                raise NotStored(f"the result could not be stored: {error}") from error
            time.sleep(pause_seconds)
        else:
            return


def _close_connection() -> None:
    """Close the connection, which returns it to the pool; the next query opens one."""
    if is_outside_transactions():
        connection.close()


def _storable(text: str, length: int) -> str:
    """Return text that both databases can store: otherwise the message would be sent repeatedly."""
    return plain(text).encode("utf-8", "replace").decode()[:length]


def _disable(channel: Channel, claim: str, reason: str) -> bool:
    """Disable a channel; return False, because no message follows."""
    now = timezone.now()
    _update(channel, claim, **DISABLED, disabled_reason=reason, last_error=reason, last_error_at=now)
    logger.warning("channel %s is disabled: %s", channel.pk, reason)
    return False


def _update(channel: Channel, claim: str, **columns: Any) -> None:
    """Write columns of a channel.

    Raises:
        Stopped: another process has the channel.
    """
    if not Channel.objects.filter(pk=channel.pk, claim=claim).update(**columns):
        raise Stopped
