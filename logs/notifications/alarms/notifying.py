"""Add the notifications about alarms to the outbox. Call it in the transaction that opens and closes the alarms."""

from collections.abc import Iterable, Iterator, Sequence

from logs.models import (
    Alarm,
    AlarmKind,
    Channel,
    Notification,
    NotificationKind,
    NotificationState,
    Rule,
    Subject,
)
from logs.notifications.channels import TRANSPORTS
from logs.notifications.outbox import END_LIFETIME, add, drop_unsent, new_notification, read_site_id, thread_of
from logs.notifications.rules import channels_for, matches_project


def notify(*, opened: Sequence[Alarm], closed: Sequence[Alarm], stop: Alarm | None) -> bool:
    """Add the notifications for some alarms; return whether there is anything to send. Adding them again adds nothing.

    Args:
        opened: alarms that have begun, which the rules report.
        closed: alarms that are over. Only channels that got the beginning, or still have it to send, get the end.
        stop: an alarm that was over when it was noticed; the rules report its end, except to channels that open
            incidents: there is none to resolve.
    """
    rules = list(Rule.objects.active(Subject.LOG)) if opened or stop else []
    site_id = read_site_id()
    notifications = [
        *_asked_for(NotificationKind.ALARM, opened, rules, site_id),
        *_asked_for(NotificationKind.ALARM_OVER, [stop] if stop else [], rules, site_id),
        *_ends(closed, site_id),
    ]
    add(notifications)
    return bool(notifications)


def _asked_for(
    kind: NotificationKind, alarms: Iterable[Alarm], rules: Sequence[Rule], site_id: str
) -> Iterator[Notification]:
    """Yield the messages about some alarms that rules ask for."""
    for alarm in alarms:
        for rule in rules:
            if alarm.kind in rule.alarms and _reports(rule, alarm):
                for channel in channels_for(rule, rule.channels.all()):
                    if kind == NotificationKind.ALARM or not TRANSPORTS[channel.kind].opens_incidents:
                        yield _notification(kind, alarm, channel, rule.pk, site_id)


def _ends(alarms: Sequence[Alarm], site_id: str) -> Iterator[Notification]:
    """Drop the beginnings of alarms that were not sent yet, and yield the ends for the channels that got them.

    A disabled channel gets the ends of the incidents that it has opened; they wait until it is enabled.
    """
    if not alarms:
        return
    by_key = {alarm.pk: alarm for alarm in alarms}
    drop_unsent(kind=NotificationKind.ALARM, alarm__in=by_key)
    begun = Notification.objects.filter(
        thread__in=[_thread(alarm, site_id) for alarm in alarms],
        kind=NotificationKind.ALARM,
        alarm__in=by_key,
        state__in=[NotificationState.WAITING, NotificationState.SENT],
    )
    for beginning in begun.select_related("channel").order_by("pk"):
        channel = beginning.channel
        transport = TRANSPORTS.get(channel.kind)
        if transport and beginning.alarm_id and (channel.enabled or not transport.is_combined):
            alarm = by_key[beginning.alarm_id]
            yield _notification(NotificationKind.ALARM_OVER, alarm, channel, beginning.rule_id, site_id)


def _notification(
    kind: NotificationKind, alarm: Alarm, channel: Channel, rule: int | None, site_id: str
) -> Notification:
    is_end_of_incident = kind == NotificationKind.ALARM_OVER and not TRANSPORTS[channel.kind].is_combined
    return new_notification(
        channel,
        kind,
        f"{kind}:{alarm.pk}",
        lifetime=END_LIFETIME if is_end_of_incident else None,
        thread=_thread(alarm, site_id),
        rule_id=rule,
        alarm=alarm,
    )


def _thread(alarm: Alarm, site_id: str) -> str:
    return thread_of(site_id, "", "alarm", f"{alarm.kind}:{alarm.key}")


def _reports(rule: Rule, alarm: Alarm) -> bool:
    """Return whether a rule's projects select the source, or one of a webhook's; the other kinds have no project."""
    if alarm.kind != AlarmKind.SILENCE:
        return True
    return any(matches_project(rule, slug, project) for slug, project in alarm.detail["sources"])
