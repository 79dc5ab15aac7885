"""The outbox: which notifications are to be sent. Changes are added in the transaction that notes them."""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from secrets import token_hex
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, Max, OuterRef, Q, QuerySet
from django.utils import timezone

from logs.models import StateChange
from logs.models.notifications import Channel, Notification, NotificationKind, NotificationState, Site
from logs.models.rules import Rule, Subject
from logs.notifications.channels import TRANSPORTS
from logs.notifications.rules import channels_for, is_loud, matches, matches_standing, reports_breakage, reports_fix
from logs.standings.judging import UNSIGNED, Branch, Judgement, branch_of, key_of
from logs.transactions import delete_in_steps, durable_transaction

THREAD_DIGITS = 16
# The end of an incident is sent however long its channel was disabled or muted: it would stay open forever.
END_LIFETIME = timedelta(days=365)
TEST_LIFETIME = timedelta(minutes=10)
BEGINNINGS = (NotificationKind.BROKE, NotificationKind.ALARM)
ENDS = (NotificationKind.FIXED, NotificationKind.ALARM_OVER)
AGAIN = "again:"  # The keys of messages that operators sent again start with it.
RESTS = "rests:"  # The keys of ends of incidents whose branches are no longer used (`reminding`) start with it.
DELETED_TOGETHER = 500  # Rows per transaction.
# The states of a message that a channel got or will get.
ARRIVING = (NotificationState.WAITING, NotificationState.SENT, NotificationState.MERGED)


class ChannelDisabled(Exception):
    """A disabled channel sends nothing, not even a test."""


def enqueue(judgements: Sequence[Judgement]) -> bool:
    """Add the breakages and fixes that rules ask for; return whether there is anything to send.

    Call it in the transaction that stores the judgements. Adding a change again adds nothing.
    """
    news = [each for each in judgements if each.changes or each.failures > each.failures_before]
    if not news:
        return False
    rules, site_id = list(Rule.objects.active(Subject.CHANGES)), read_site_id()
    added = [*_breakages(news, rules, site_id), *_fixes(news, rules, site_id)]
    add(added)
    unsigned = {each.change.pk for each in added if each.change and each.change.quiet_reason == UNSIGNED}
    if unsigned:
        StateChange.objects.filter(pk__in=unsigned).update(quiet_reason="")
    return bool(added)


def _breakages(news: Sequence[Judgement], rules: Sequence[Rule], site_id: str) -> Iterator[Notification]:
    """Yield the messages about branches whose failures in a row have reached the number that a rule waits for."""
    for judgement in news:
        reached = [
            rule
            for rule in rules
            if reports_breakage(rule, before=judgement.failures_before, after=judgement.failures)
            and matches_standing(rule, judgement.standing)
        ]
        change, thread = _breakage_of(judgement) if reached else None, thread_of(site_id, *judgement.branch)
        for rule in reached:
            # If the rule waits, the run that reaches the number decides, not the first failed one.
            is_later = rule.after_failures > 1 or not judgement.changes
            reason = judgement.quiet_reason if is_later else change and change.quiet_reason
            if change and is_loud(rule, reason or "") and matches(rule.authors, change.author):
                event = judgement.standing.last_id if is_later and judgement.standing else change.event_id
                for channel in channels_for(rule, rule.channels.all()):
                    yield _of_change(change, channel, thread, event_id=event, rule=rule)
    yield from _breakages_after_rest(news, rules, site_id)


def _breakage_of(judgement: Judgement) -> StateChange | None:
    """Return the change that broke a branch; an earlier check may have noted it.

    The stored changes of a branch without a standing are old: it was forgotten because it was not used.
    """
    if judgement.changes:
        last = judgement.changes[-1]
        return last if last.kind == NotificationKind.BROKE else None
    return None if judgement.is_new else _stored_breakage(judgement.branch)


def _stored_breakage(branch: Branch) -> StateChange | None:
    """Return a branch's last change if it is a breakage."""
    last = StateChange.objects.filter(**key_of(branch)).order_by("-pk").first()
    return last if last and last.kind == NotificationKind.BROKE else None


def _breakages_after_rest(news: Sequence[Judgement], rules: Sequence[Rule], site_id: str) -> Iterator[Notification]:
    """Yield a second message about branches that fail again after their incidents ended because they were not used."""
    failing = {thread_of(site_id, *each.branch): each for each in news if each.failures and not each.changes}
    if not failing:
        return
    begun = Notification.objects.filter(
        thread=OuterRef("thread"), channel=OuterRef("channel"), pk__gt=OuterRef("pk"), kind=NotificationKind.BROKE
    )
    rests = Notification.objects.filter(~Exists(begun), thread__in=failing, key__startswith=RESTS)
    for rest in rests.select_related("channel").order_by("pk"):
        judgement = failing[rest.thread]
        change, standing = _stored_breakage(judgement.branch), judgement.standing
        if change and standing and change.pk == rest.change_id:
            reporting = [rule for rule in rules if _reports_again(rule, judgement, change, rest.channel)]
            if reporting:
                subject, event, rule = f"{change.kind}:{change.pk}:{rest.pk}", standing.last_id, reporting[0]
                yield new_notification(
                    rest.channel, change.kind, subject, thread=rest.thread, change=change, event_id=event, rule=rule
                )


def _reports_again(rule: Rule, judgement: Judgement, change: StateChange, channel: Channel) -> bool:
    """Return whether a rule reports a breakage to a channel again: the failures count as if the branch were new."""
    return (
        reports_breakage(rule, before=0, after=judgement.failures)
        and matches_standing(rule, judgement.standing)
        and is_loud(rule, judgement.quiet_reason)
        and matches(rule.authors, change.author)
        and channel in channels_for(rule, rule.channels.all())
    )


def _fixes(news: Sequence[Judgement], rules: Sequence[Rule], site_id: str) -> Iterator[Notification]:
    """Yield the messages about fixes. Each check has at most one fix per branch that counts: the last change.

    What was not sent yet is dropped. A channel that opens incidents gets the end of each, whatever the rules say now
    and even if the fix is quiet. If it is disabled, the end waits until it is enabled.
    """
    fixes = [each.changes[-1] for each in news if each.changes and each.changes[-1].kind == NotificationKind.FIXED]
    if not fixes:
        return
    threads = {fix: thread_of(site_id, *branch_of(fix)) for fix in fixes}
    drop_unsent(thread__in=threads.values(), kind__in=(NotificationKind.BROKE, NotificationKind.REMINDER))
    broken = open_breakages(threads.values())
    for fix, thread in threads.items():
        yield from _asked_for(fix, thread, rules, broken)
        for (_, opened_in), breakage in broken.items():
            if opened_in == thread and is_incident(breakage):
                yield _of_change(fix, breakage.channel, thread, ends=breakage)


def _asked_for(
    fix: StateChange, thread: str, rules: Sequence[Rule], broken: Mapping[tuple[int, str], Notification]
) -> Iterator[Notification]:
    """Yield the messages about a fix that rules ask for."""
    for rule in rules:
        if is_loud(rule, fix.quiet_reason) and matches_standing(rule, fix):
            for channel in channels_for(rule, rule.channels.all()):
                breakage = broken.get((channel.pk, thread))
                if reports_fix(rule, fix, has_breakage=breakage is not None):
                    yield _of_change(fix, channel, thread, rule=rule, ends=breakage)


def drop_unsent(**columns: Any) -> None:
    """Drop the messages with these columns that wait and were never attempted: what they report is over."""
    Notification.objects.waiting().filter(attempts_made=0, **columns).update(state=NotificationState.DROPPED)


def open_breakages(threads: Collection[str]) -> dict[tuple[int, str], Notification]:
    """Return, by channel and thread, the breakages that channels got or will get, and whose end they did not get.

    Of several messages about a breakage, the first counts. Three queries, however long the history is.
    """
    about = Notification.objects.filter(thread__in=threads)
    broke = about.filter(kind=NotificationKind.BROKE, state__in=ARRIVING)
    fixed = about.filter(kind=NotificationKind.FIXED)
    last_broke, last_fixed = _last_changes(broke), _last_changes(fixed)
    current = {key: change for key, change in last_broke.items() if change >= last_fixed.get(key, 0)}
    if not current:
        return {}
    columns = ("channel", "thread", "kind", "state", "created_at", "change_id", "channel__kind", "channel__enabled")
    rows = (broke | fixed).filter(change__in=current.values()).select_related("channel").only(*columns)
    found: dict[tuple[int, str], Notification] = {}
    for row in rows.order_by("pk"):
        key = (row.channel_id, row.thread)
        if row.change_id == current.get(key):
            if row.kind == NotificationKind.FIXED:  # The branch rested.
                found.pop(key, None)
            else:
                found.setdefault(key, row)
    return found


def _last_changes(notifications: QuerySet[Notification]) -> dict[tuple[int, str], int]:
    """Return the last change that some notifications report, by channel and thread."""
    last = notifications.order_by().values_list("channel", "thread").annotate(Max("change"))
    return {(channel, thread): change for channel, thread, change in last if change is not None}


def is_incident(breakage: Notification) -> bool:
    """Return whether a breakage in a channel must be ended there."""
    kind = breakage.channel.kind
    return kind in TRANSPORTS and not TRANSPORTS[kind].is_combined


def _of_change(
    change: StateChange, channel: Channel, thread: str, *, ends: Notification | None = None, **columns: Any
) -> Notification:
    """Return the message about a change; `ends` is the breakage that a fix ends in this channel."""
    lifetime = END_LIFETIME if ends and is_incident(ends) else None
    columns = {"event_id": change.event_id, "change": change, "thread": thread} | columns
    return new_notification(channel, change.kind, f"{change.kind}:{change.pk}", lifetime=lifetime, **columns)


def new_notification(
    channel: Channel, kind: str, subject: str, *, lifetime: timedelta | None = None, **columns: Any
) -> Notification:
    """Return a notification that is not stored yet.

    Args:
        channel: where it is sent.
        kind: its kind.
        subject: identifies what it reports. A channel gets one message about a subject, however many rules ask for it.
        lifetime: how long it is worth sending; None for the channel's own.
        columns: its other columns.
    """
    now = timezone.now()
    expires_at = now + (lifetime or TRANSPORTS[channel.kind].lifetime)
    key = f"{subject}:{channel.pk}"
    return Notification(channel=channel, kind=kind, key=key, created_at=now, expires_at=expires_at, **columns)


def add(notifications: Iterable[Notification]) -> None:
    """Store notifications, except those that were stored before; the first with a key counts."""
    by_key: dict[str, Notification] = {}
    for notification in notifications:
        by_key.setdefault(notification.key, notification)
    Notification.objects.bulk_create(by_key.values(), ignore_conflicts=True)


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
            thread=thread_of(read_site_id(), "", "test", str(channel.pk)),
            created_at=now,
            expires_at=now + TEST_LIFETIME,
        )


def expire_overdue() -> None:
    """Give up what waited too long, also in channels that are disabled or muted."""
    overdue = Notification.objects.waiting().filter(expires_at__lte=timezone.now())
    if overdue.exists():
        with durable_transaction():
            overdue.update(state=NotificationState.EXPIRED)


def delete_old() -> Iterator[int]:
    """Delete what is older than NOTIFICATION_RETENTION_DAYS and no longer waits, with its attempts.

    The last breakage or alarm in a channel is kept for END_LIFETIME: without it, nothing would send its end. Yield the
    number of deleted notifications after each batch.
    """
    now = timezone.now()
    oldest = now - timedelta(days=settings.NOTIFICATION_RETENTION_DAYS)
    old = Notification.objects.exclude(state=NotificationState.WAITING).filter(created_at__lt=oldest).order_by("pk")
    later = Notification.objects.filter(
        thread=OuterRef("thread"), channel=OuterRef("channel"), pk__gt=OuterRef("pk"), kind__in=(*BEGINNINGS, *ENDS)
    )
    old = old.filter(
        ~Q(kind__in=BEGINNINGS) | ~Q(state__in=ARRIVING) | Q(created_at__lt=now - END_LIFETIME) | Exists(later)
    )
    yield from delete_in_steps(old, size=DELETED_TOGETHER)


def read_site_id() -> str:
    """Return the id of this site in threads."""
    return Site.objects.get_or_create(pk=1)[0].site_id
