"""Operators send a notification again, or drop one that waits; the history stays, and so does the order."""

import json
from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from logs.models import Channel, StateChange
from logs.models.notifications import CHAT_LIFETIME, Notification, NotificationKind, NotificationState
from logs.notifications import sending
from logs.notifications.guard import Response
from logs.notifications.resending import AGAIN, Impossible, drop, original_of, send_again
from logs.notifications.sealing import seal

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
URL = "https://hooks.slack.example/services/T0AAAAAAA/B0AAAAAAA/S3cretS3cretS3cretS3cret"
CONTENT = {
    "kind": "broke",
    "tone": "bad",
    "headline": "build broke on main",
    "facts": [["Project", "orchard"]],
    "links": [],
    "project": "orchard",
    "project_slug": "github/acme/orchard",
    "workflow": "build",
    "branch": "main",
    "happened_at": NOW.isoformat(),
    "data": {},
}


@pytest.fixture(autouse=True)
def clock():
    """The time, which stands still."""
    with time_machine.travel(NOW, tick=False) as clock:
        yield clock


@pytest.fixture
def sent(monkeypatch):
    """The texts that a vendor gets."""
    texts = []

    def accept(request):
        texts.append(json.loads(request.body)["text"])
        return Response(status=200, headers={}, body=b"ok")

    monkeypatch.setattr("logs.notifications.guard.send", accept)
    return texts


def make_channel(name="ops", kind="slack", **values):
    return Channel.objects.create(name=name, kind=kind, sealed=seal({"url": URL}), **values)


def add(channel, kind="broke", **values):
    number = Notification.objects.count()
    content = CONTENT | {"kind": kind, "headline": f"build {kind} {number}"}
    defaults = {"key": f"{kind}:{number}", "thread": "wl-1", "expires_at": NOW + CHAT_LIFETIME, "content": content}
    return Notification.objects.create(channel=channel, kind=kind, **defaults | values)


def send_due(channel):
    Channel.objects.filter(pk=channel.pk).update(not_before=None)
    sending.send_waiting(channel.pk, is_stopping=lambda: False)


@pytest.mark.parametrize("state", ["sent", "failed", "expired", "dropped"])
def test_a_copy_waits_after_all_others_and_the_original_stays(sent, clock, state):
    channel = make_channel()
    original = add(channel, state=state, attempts_made=2, last_status=400, rule_id=3)
    other = add(channel, kind="fixed", thread="wl-2")
    before = Notification.objects.filter(pk=original.pk).values().get()
    clock.shift(HOUR)
    copy = send_again(original.pk)
    assert Notification.objects.filter(pk=original.pk).values().get() == before
    copied = ("channel_id", "kind", "thread", "content", "change_id", "event_id", "rule_id", "alarm_id")
    assert all(getattr(copy, name) == getattr(original, name) for name in copied)
    assert (copy.state, copy.attempts_made, copy.created_at) == ("waiting", 0, NOW + HOUR)
    assert copy.expires_at == NOW + HOUR + CHAT_LIFETIME
    assert copy.key.startswith(AGAIN)
    assert (original_of(copy), original_of(original)) == (original.pk, None)
    send_due(channel)
    assert ["1" in sent[0], "0" in sent[1]] == [True, True]
    assert list(Notification.objects.filter(pk__in=[other.pk, copy.pk]).values_list("state", flat=True)) == ["sent"] * 2


def test_a_copy_lives_as_long_as_its_original(clock):
    channel = make_channel(kind="pagerduty")
    clock.shift(HOUR)
    copy = send_again(add(channel, "fixed", state="failed", created_at=NOW, expires_at=NOW + timedelta(days=365)).pk)
    assert copy.expires_at == NOW + HOUR + timedelta(days=365)


def test_a_copy_can_be_sent_again_once_it_was_sent(sent):
    channel = make_channel()
    first = add(channel, state="sent")
    second = send_again(first.pk)
    with pytest.raises(Impossible, match="is already waiting"):
        send_again(first.pk)
    with pytest.raises(Impossible, match="A message that is waiting cannot be sent again"):
        send_again(second.pk)
    send_due(channel)
    assert original_of(send_again(second.pk)) == second.pk
    assert original_of(send_again(first.pk)) == first.pk
    assert Notification.objects.count() == 4


@pytest.mark.parametrize(
    ("channel", "values", "reason"),
    [
        ({}, {"state": "waiting"}, "A message that is waiting"),
        ({}, {"state": "merged"}, "A message that is merged"),
        ({}, {"state": "sent", "kind": "test"}, "Send a new test message instead"),
        ({"enabled": False}, {"state": "failed"}, "Enable the channel before"),
    ],
)
def test_some_messages_are_not_sent_again(channel, values, reason):
    original = add(make_channel(**channel), **values)
    with pytest.raises(Impossible, match=reason):
        send_again(original.pk)
    assert Notification.objects.count() == 1


def test_every_state_is_either_resendable_or_not():
    channel = make_channel()
    accepted = set()
    for state in NotificationState:
        original = add(channel, state=state, thread=state)
        try:
            send_again(original.pk)
        except Impossible:
            continue
        accepted.add(state)
    assert accepted == {"sent", "failed", "expired", "dropped"}


def test_an_old_message_does_not_reopen_an_incident():
    pager, chat = make_channel("on-call", "pagerduty"), make_channel()
    for channel in (pager, chat):
        broke = add(channel, state="sent")
        fixed = add(channel, "fixed", state="sent")
        add(channel, state="sent", thread="wl-2")
        if channel == pager:
            with pytest.raises(Impossible, match="newer message"):
                send_again(broke.pk)
        else:
            send_again(broke.pk)
        send_again(fixed.pk)


def test_a_fix_that_follows_a_copy_is_reported(sent):
    """The breakage was sent: if the copy were dropped with the fix, the last message would be the breakage."""
    channel = make_channel()
    send_again(add(channel, state="sent").pk)
    fixed = add(channel, "fixed")
    send_due(channel)
    fixed.refresh_from_db()
    assert fixed.state == "sent"
    assert len(sent) == 2


def test_the_copy_of_a_digest_that_was_never_composed_lists_its_parts(sent):
    channel = make_channel()
    digest = add(channel, "digest", state="expired", thread="", content=None)
    for number in range(2):
        change = StateChange.objects.create(
            project="orchard",
            workflow=f"w{number}",
            branch="main",
            kind="broke",
            happened_at=NOW,
            noted_at=NOW,
            failures=1,
        )
        add(channel, state="merged", merged_into=digest, change=change)
    copy = send_again(digest.pk)
    assert copy.content["headline"].startswith("2 messages")
    assert digest.parts.count() == 2


def test_a_waiting_message_is_dropped_and_never_sent(sent):
    channel = make_channel()
    first, second = add(channel), add(channel, thread="wl-2")
    drop(first.pk)
    send_due(channel)
    assert [each.state for each in Notification.objects.order_by("pk")] == ["dropped", "sent"]
    for each in (first, second):
        with pytest.raises(Impossible, match="Only a waiting message"):
            drop(each.pk)
    assert len(sent) == 1


def test_dropping_during_an_attempt_does_not_hide_that_the_message_was_sent(monkeypatch):
    channel = make_channel()
    notification = add(channel)

    def accept(request):
        drop(notification.pk)
        return Response(status=200, headers={}, body=b"ok")

    monkeypatch.setattr("logs.notifications.guard.send", accept)
    send_due(channel)
    notification.refresh_from_db()
    assert notification.state == NotificationState.SENT
    assert NotificationKind(notification.kind) == "broke"
