"""Remind channels of what stays broken, and end the incidents of branches that are no longer used."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet, Subquery
from django.utils import timezone

from logs.circleci.vocabulary import Tone
from logs.models import Standing, StateChange
from logs.models.notifications import Channel, Notification, NotificationKind, NotificationState
from logs.models.rules import Rule, Subject
from logs.models.standings import RESTING_AFTER
from logs.notifications.channels import TRANSPORTS
from logs.notifications.outbox import (
    AGAIN,
    END_LIFETIME,
    RESTS,
    add,
    is_incident,
    new_notification,
    open_breakages,
    read_site_id,
    thread_of,
)
from logs.notifications.rules import channels_for, matches, matches_standing
from logs.standings.following import Lease
from logs.standings.judging import KEY, branch_of
from logs.transactions import durable_transaction

READ_TOGETHER = 500


def remind(lease: Lease) -> Iterator[bool]:
    """Add the reminders that are due; yield, for each batch of breakages, whether there is anything to send."""
    rules = [rule for rule in Rule.objects.active(Subject.CHANGES) if rule.remind_every_hours]
    if not rules:
        return
    columns = ("channel", "thread", "created_at", *(f"change__{name}" for name in (*KEY, "project", "author")))
    breakages = list(_reported(rules).select_related("change").only(*columns))
    for start in range(0, len(breakages), READ_TOGETHER):
        due = list(_reminders(breakages[start : start + READ_TOGETHER], rules))
        if due:
            with durable_transaction():
                lease.renew()
                still = set(_reported(rules).filter(change__in=[each.change for each in due]).values_list("change"))
                add(each for each in due if (each.change_id,) in still)
        yield bool(due)


def _reported(rules: Sequence[Rule]) -> "QuerySet[Notification, Any]":
    """Return the breakages that may be due: their channels got no later message, and their branches still fail.

    The branch may have been fixed quietly, and have broken again. `last_run` is the run that decides now, and
    `last_reminder` the key of the last reminder.
    """
    now, branch = timezone.now(), {name: OuterRef(f"change__{name}") for name in KEY}
    broken = Standing.objects.broken(now).filter(**branch)
    kinds = (NotificationKind.BROKE, NotificationKind.FIXED)
    later = Notification.objects.filter(thread=OuterRef("thread"), channel=OuterRef("channel"), pk__gt=OuterRef("pk"))
    later = later.exclude(key__startswith=AGAIN)
    reminders = later.filter(kind=NotificationKind.REMINDER, change=OuterRef("change")).order_by("-pk")
    found = Notification.objects.filter(
        ~Exists(StateChange.objects.filter(pk__gt=OuterRef("change"), **branch)),
        ~Exists(later.filter(kind__in=kinds)),
        kind=NotificationKind.BROKE,
        state__in=(NotificationState.SENT, NotificationState.MERGED),
        channel__in={channel.pk for rule in rules for channel in _reminded(rule)},
        created_at__lte=now - timedelta(hours=min(rule.remind_every_hours or 1 for rule in rules)),
    )
    found = found.exclude(key__startswith=AGAIN).annotate(last_reminder=Subquery(reminders.values("key")[:1]))
    return found.annotate(last_run=Subquery(broken.values("last")[:1])).filter(last_run__isnull=False).order_by("pk")


def _reminders(breakages: Sequence[Any], rules: Sequence[Rule]) -> Iterator[Notification]:
    """Yield the latest reminder of each breakage, unless it was added before."""
    for rule in rules:
        channels, interval = {channel.pk: channel for channel in _reminded(rule)}, rule.remind_every_hours or 1
        for breakage in breakages:
            channel, change = channels.get(breakage.channel_id), breakage.change
            age = timezone.now() - breakage.created_at
            hours = age // timedelta(hours=interval) * interval  # Not a count: the rule's interval may change.
            is_due = hours > (int(breakage.last_reminder.split(":")[2]) if breakage.last_reminder else 0)
            if channel and is_due and matches_standing(rule, change) and matches(rule.authors, change.author):
                subject = f"{NotificationKind.REMINDER}:{breakage.pk}:{hours}"
                columns: dict[str, Any] = {"thread": breakage.thread, "change": change, "event_id": breakage.last_run}
                yield new_notification(channel, NotificationKind.REMINDER, subject, rule=rule, **columns)


def _reminded(rule: Rule) -> list[Channel]:
    """Return the channels that a rule reminds."""
    channels = channels_for(rule, rule.channels.all())
    return [channel for channel in channels if TRANSPORTS[channel.kind].is_reminded]


def end_resting(lease: Lease) -> Iterator[bool]:
    """End the incidents of broken branches without a run for RESTING_AFTER; yield per batch, as `remind` does."""
    site_id = read_site_id()
    resting = Standing.objects.filter(last_run_at__lt=timezone.now() - RESTING_AFTER, tone=Tone.BAD)
    keys = list(resting.values_list("pk", flat=True))
    for start in range(0, len(keys), READ_TOGETHER):
        batch = resting.filter(pk__in=keys[start : start + READ_TOGETHER])
        is_any = bool(_incidents(batch, site_id))
        if is_any:
            with durable_transaction():
                lease.renew()
                add(_end(incident) for incident in _incidents(batch, site_id))
        yield is_any


def _incidents(standings: Iterable[Standing], site_id: str) -> list[Notification]:
    threads = [thread_of(site_id, *branch_of(each)) for each in standings]
    return [each for each in open_breakages(threads).values() if is_incident(each)]


def _end(incident: Notification) -> Notification:
    """Return the end of an incident. Its change is the breakage, by which its content differs from that of a fix."""
    return new_notification(
        incident.channel,
        NotificationKind.FIXED,
        f"{RESTS}{incident.pk}",
        lifetime=END_LIFETIME,
        thread=incident.thread,
        change_id=incident.change_id,
    )
