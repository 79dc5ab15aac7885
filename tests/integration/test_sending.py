"""Each channel gets its messages in order, at least once, and no more often than it can take."""

import json
import logging
from datetime import UTC, datetime
from itertools import pairwise
from threading import Event, Thread

import pytest
from django.db import InterfaceError, OperationalError, transaction

from logs import transactions
from logs.models import Channel, StateChange
from logs.models.notifications import LIFETIME, Notification, NotificationAttempt, NotificationKind
from logs.notifications import dispatching, outbox, sending
from logs.notifications.channels import TRANSPORTS
from logs.notifications.channels.slack import SlackTransport
from logs.notifications.dispatching import Dispatcher
from logs.notifications.guard import ForbiddenAddress, Response, Unreachable
from logs.notifications.sealing import seal
from logs.standings.following import Follower
from logs.watch import tasks
from tests.integration.rules_for_tests import add_rule, enqueue_changes
from tests.integration.standings_log import DAY, HOUR, MINUTE, SECOND, Watch, log_run

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("webhook_secrets", "clock")]

PATH = "/services/T0AAAAAAA/B0AAAAAAA/S3cretS3cretS3cretS3cret"
URL = f"https://hooks.slack.example{PATH}"
CHAT, PAGER = "slack", "pager"


class Pager(SlackTransport):
    """A kind of channel whose messages are never combined."""

    kind = PAGER
    is_combined = False
    lifetime = LIFETIME


@pytest.fixture(autouse=True)
def transports(monkeypatch):
    monkeypatch.setitem(TRANSPORTS, PAGER, Pager())
    return TRANSPORTS


class Vendor:
    """What a channel's requests reach: it gives the next response, or "ok" after the last."""

    def __init__(self):
        self.responses = []
        self.default = 200
        self.requests = []

    def __call__(self, request):
        self.requests.append((datetime.now(UTC), json.loads(request.body)["text"]))
        response = self.responses.pop(0) if self.responses else self.default
        if isinstance(response, Exception):
            raise response
        if isinstance(response, Response):
            return response
        return response_of(response)

    @property
    def texts(self):
        return [text for _, text in self.requests]

    def times(self):
        """Return the seconds from the first request until each."""
        return [round((at - self.requests[0][0]).total_seconds()) for at, _ in self.requests]


def response_of(status, body=None, **headers):
    text = body if body is not None else ("ok" if status == 200 else "")
    return Response(status=status, headers=headers, body=text.encode())


@pytest.fixture(autouse=True)
def vendor(monkeypatch):
    fake = Vendor()
    monkeypatch.setattr("logs.notifications.guard.send", fake)
    return fake


def add_channel(name="ops", kind=CHAT, **columns):
    """Add a channel that gets all changes on default branches: fixes without their breakages, too."""
    channel = Channel.objects.create(name=name, kind=kind, sealed=seal({"url": URL}), **columns)
    add_rule(channel, on_fixed=False)
    add_rule(channel, on_broke=False)
    return channel


def change(number=1, kind="broke", **columns):
    values = {"project": "orchard", "project_slug": "github/acme/orchard", "workflow": f"w{number}", "branch": "main"}
    values |= {"pipeline_number": number, "revision": "1a2b3c4d5e", "author": "Ada", "subject": "Prune the trees"}
    now = datetime.now(UTC)
    return StateChange.objects.create(**values | columns, kind=kind, happened_at=now, noted_at=now, failures=1)


def report_breakages_and_their_fixes(channel):
    """Replace the rules of `add_channel`, by which fixes are sent even without a breakage."""
    channel.rules.all().delete()
    add_rule(channel)


def enqueue(*numbers, **columns):
    enqueue_changes(*(change(number, **columns) for number in numbers))


def send_due():
    for key in Channel.objects.due().values_list("pk", flat=True):
        sending.send_waiting(key, is_stopping=lambda: False)


def run(clock, duration, step=SECOND):
    """Send what is due, repeatedly."""
    for _ in range(int(duration / step)):
        send_due()
        clock.shift(step)
    send_due()


def states():
    return list(Notification.objects.order_by("pk").values_list("state", flat=True))


def attempts():
    """Return the attempts as (number of the notification, status, whether it has an end)."""
    keys = list(Notification.objects.order_by("pk").values_list("pk", flat=True))
    rows = NotificationAttempt.objects.order_by("pk").values_list("notification", "status", "ended_at")
    return [(keys.index(key) + 1, status, ended is not None) for key, status, ended in rows]


# What is added to the outbox.


@pytest.mark.parametrize("pause", ["enabled", "muted"])
def test_the_end_of_an_incident_is_sent_after_its_channel_was_disabled_or_muted(vendor, clock, pause):
    channel = add_channel(kind=PAGER)
    enqueue(1)
    send_due()
    if pause == "muted":
        channel.mute(datetime.now(UTC) + 7 * DAY)
    else:
        channel.disable()
    enqueue(1, kind="fixed")
    enqueue(1)
    enqueue(1, kind="fixed")
    clock.shift(7 * DAY + SECOND)
    outbox.expire_overdue()
    channel.enable()
    send_due()
    assert vendor.texts[1:] == ["orchard: w1 is fixed on main (#1)"]


@pytest.mark.parametrize("kind", [CHAT, PAGER])
def test_a_disabled_channel_gets_no_end_of_what_it_did_not_report_or_combines(kind):
    channel = add_channel(kind=kind)
    enqueue(1)
    if kind == CHAT:
        send_due()
    channel.disable()
    assert not enqueue_changes(change(kind="fixed"))
    assert Notification.objects.count() == 1


def test_a_loud_change_on_a_default_branch_is_added_once_per_channel():
    for name in ("ops", "chat"):
        add_channel(name)
    add_channel("off", enabled=False)
    add_channel("unknown", kind="pigeon")
    one = change()
    assert enqueue_changes(one)
    enqueue_changes(one)
    assert sorted(Notification.objects.values_list("channel__name", "kind")) == [("chat", "broke"), ("ops", "broke")]


@pytest.mark.parametrize("columns", [{"quiet_reason": "replayed"}, {"branch": "feature"}])
def test_a_quiet_change_and_one_on_another_branch_are_not_added(columns):
    add_channel()
    assert not enqueue_changes(change(**columns))
    assert not Notification.objects.exists()


def test_without_a_channel_nothing_is_added():
    assert not enqueue_changes(change())


def test_a_change_and_its_notifications_are_stored_together(monkeypatch):
    add_channel()
    watch = Watch()
    watch.follower = Follower(outbox.enqueue)
    log_run(1, "failed")
    with monkeypatch.context() as broken:
        broken.setattr(outbox, "thread_of", _fail)
        with pytest.raises(OperationalError):
            watch.check()
    assert (StateChange.objects.count(), Notification.objects.count()) == (0, 0)
    watch.check()
    assert (StateChange.objects.count(), Notification.objects.count()) == (1, 1)


def _fail(*args, **options):
    raise OperationalError("the disk is full")


def test_a_rollback_leaves_nothing():
    add_channel()
    with transaction.atomic():
        enqueue(1)
        assert Notification.objects.exists()
        transaction.set_rollback(True)
    assert (StateChange.objects.count(), Notification.objects.count()) == (0, 0)


def test_all_messages_about_a_branch_share_a_thread():
    add_channel()
    enqueue(1)
    enqueue(1, kind="fixed")
    enqueue(1, branch="master")
    threads = list(Notification.objects.order_by("pk").values_list("thread", flat=True))
    assert threads[0] == threads[1] != threads[2]


# Order, and what a crash repeats.


def test_sends_in_order(vendor):
    add_channel(kind=PAGER)
    enqueue(*range(1, 21))
    send_due()
    assert vendor.texts == [f"orchard: w{number} broke on main (#{number})" for number in range(1, 21)]
    assert set(states()) == {"sent"}
    assert attempts() == [(number, 200, True) for number in range(1, 21)]


def test_a_message_that_must_wait_holds_back_those_after_it(vendor, clock):
    add_channel()
    vendor.responses = [503]
    enqueue(1, 2, 3)
    run(clock, 13 * SECOND)
    assert [text.split()[1] for text in vendor.texts] == ["w1", "w1", "w2", "w3"]


def test_a_message_that_is_rejected_does_not_hold_back_others(vendor):
    add_channel()
    vendor.responses = [response_of(400, "invalid_blocks")]
    enqueue(1, 2)
    send_due()
    assert states() == ["failed", "sent"]
    assert Notification.objects.first().last_error == "400 invalid_blocks"


def test_one_channel_does_not_hold_back_another(vendor):
    for name in ("ops", "chat"):
        add_channel(name)
    vendor.responses = [503]
    enqueue(1)
    send_due()
    assert sorted(states()) == ["sent", "waiting"]


def test_a_lease_of_another_process_is_respected_until_it_expires(vendor, clock):
    channel = add_channel()
    enqueue(1)
    Channel.objects.update(claim="another process", claimed_until=datetime.now(UTC) + sending.LEASE)
    sending.send_waiting(channel.pk, is_stopping=lambda: False)
    run(clock, sending.LEASE - SECOND)
    assert vendor.requests == []
    run(clock, 2 * SECOND)
    assert states() == ["sent"]


def test_the_lease_is_given_back(vendor):
    channel = add_channel()
    enqueue(1)
    send_due()
    channel.refresh_from_db()
    assert channel.claimed_until is None
    assert channel.last_sent_at == datetime.now(UTC)


def test_a_lease_is_renewed_with_each_message(monkeypatch, clock):
    add_channel(kind=PAGER)
    enqueue(*range(8))
    left = []

    def answer_slowly(request):
        left.append(Channel.objects.get().claimed_until - datetime.now(UTC))
        clock.shift(15 * SECOND)
        return response_of(200)

    monkeypatch.setattr("logs.notifications.guard.send", answer_slowly)
    send_due()
    assert left == [sending.LEASE] * 8


@pytest.mark.parametrize("response", [200, 400, 410, 503, Unreachable("it did not respond in time")])
def test_the_loser_of_a_lease_writes_nothing(monkeypatch, vendor, clock, response):
    channel = add_channel()
    enqueue(1, 2)
    seen = []

    def lose(request):
        clock.shift(sending.LEASE + SECOND)
        assert Channel.objects.due().exists()
        Channel.objects.update(claim="another process", claimed_until=datetime.now(UTC) + sending.LEASE)
        seen.append(rows())
        vendor.responses = [response]
        return vendor(request)

    monkeypatch.setattr("logs.notifications.guard.send", lose)
    sending.send_waiting(channel.pk, is_stopping=lambda: False)
    assert [rows()] == seen
    assert attempts() == [(1, None, False)]


def rows():
    return [list(model.objects.order_by("pk").values()) for model in (Channel, Notification, NotificationAttempt)]


def test_the_loser_of_a_lease_gives_up_nothing_and_combines_nothing(clock):
    channel = add_channel()
    enqueue(*range(10))
    Channel.objects.update(claim="another process")
    clock.shift(7 * HOUR)
    before = rows()
    assert not sending._send_next(channel.pk, "mine", set())  # noqa: SLF001 - between two messages
    with pytest.raises(sending.Stopped):
        sending._tidy(channel, "mine", TRANSPORTS[CHAT])  # noqa: SLF001 - the same
    assert rows() == before


def test_a_crash_between_sending_and_marking_repeats_the_message(monkeypatch, vendor, clock):
    class Killed(BaseException):
        pass

    def kill(*args, **options):
        raise Killed

    add_channel()
    enqueue(1, 2)
    with monkeypatch.context() as crash:
        crash.setattr(sending, "_finish", kill)
        with pytest.raises(Killed):
            send_due()
    Channel.objects.update(claimed_until=datetime.now(UTC) + sending.LEASE)  # The process could not give it back.
    run(clock, sending.LEASE + SECOND)
    assert [text.split()[1] for text in vendor.texts] == ["w1", "w1", "w2"]
    assert attempts() == [(1, None, False), (1, 200, True), (2, 200, True)]


@pytest.fixture
def pauses(monkeypatch):
    """The pauses between the attempts to store a result, in seconds; they take no time."""
    seconds = []
    monkeypatch.setattr(sending.time, "sleep", seconds.append)
    return seconds


@pytest.mark.parametrize("error", [OperationalError("database is locked"), InterfaceError("connection is closed")])
def test_a_result_that_cannot_be_stored_at_first_is_stored_later(monkeypatch, vendor, pauses, error):
    consequences, errors = sending.consequences, [error] * 3  # Fails in the middle of the transaction.

    def fail_at_first(*args):
        if errors:
            raise errors.pop()
        return consequences(*args)

    add_channel()
    enqueue(1)
    monkeypatch.setattr(sending, "consequences", fail_at_first)
    send_due()
    assert (len(vendor.requests), states(), pauses) == (1, ["sent"], [1, 2, 4])
    assert attempts() == [(1, 200, True)]
    assert Channel.objects.get().claimed_until is None


def test_a_result_that_cannot_be_stored_keeps_the_lease(monkeypatch, vendor, clock, pauses):
    add_channel()
    enqueue(1)
    with monkeypatch.context() as broken:
        broken.setattr(sending, "consequences", _fail)
        with pytest.raises(sending.NotStored):
            send_due()
    assert sum(pauses) == sending.LEASE.total_seconds() / 2
    run(clock, sending.LEASE - SECOND)
    assert len(vendor.requests) == 1
    run(clock, 2 * SECOND)
    assert (len(vendor.requests), states()) == (2, ["sent"])


def test_stops_after_the_message_in_flight(monkeypatch, vendor):
    channel = add_channel()
    enqueue(1, 2)
    stopping = Event()
    monkeypatch.setattr("logs.notifications.guard.send", lambda request: stopping.set() or vendor(request))
    sending.send_waiting(channel.pk, is_stopping=stopping.is_set)
    assert states() == ["sent", "waiting"]
    channel.refresh_from_db()
    assert channel.claimed_until is None


def test_a_retry_sends_the_same_bytes(monkeypatch, vendor, clock):
    add_channel()
    bodies = []

    def send(request):
        bodies.append(request.body)
        return vendor(request)

    monkeypatch.setattr("logs.notifications.guard.send", send)
    vendor.responses = [503]
    enqueue(1)
    send_due()
    StateChange.objects.update(project="renamed", workflow="renamed", subject="renamed")
    run(clock, 13 * SECOND)
    assert len(bodies) == 2
    assert bodies[0] == bodies[1]
    assert b"renamed" not in bodies[1]


def test_a_notification_that_is_dropped_in_flight_does_not_return(monkeypatch):
    add_channel()
    enqueue(1)

    def drop(request):
        Notification.objects.update(state="dropped")
        return response_of(503)

    monkeypatch.setattr("logs.notifications.guard.send", drop)
    send_due()
    assert states() == ["dropped"]


def test_a_notification_that_is_dropped_before_it_is_sent_is_not_sent(monkeypatch, vendor):
    compose = sending.compose

    def compose_and_drop(notification):
        Notification.objects.filter(pk=notification.pk).update(state="dropped")
        return compose(notification)

    add_channel()
    enqueue(1)
    monkeypatch.setattr(sending, "compose", compose_and_drop)
    send_due()
    assert (vendor.requests, states(), attempts()) == ([], ["dropped"], [])


# Pauses.


def test_the_pauses_follow_the_table(vendor, clock):
    channel = add_channel(kind=PAGER)
    vendor.responses = [503] * 10
    enqueue(1)
    send_due()
    for number in range(1, 11):
        channel.refresh_from_db()
        clock.shift(channel.not_before - datetime.now(UTC) - SECOND)
        send_due()
        assert len(vendor.requests) == number
        clock.shift(SECOND)
        send_due()
    found = [later - earlier for earlier, later in pairwise(vendor.times())]
    wanted = [10, 30, 60, 120, 300, 600, 1200, 2400, 3600, 3600]
    assert len(found) == len(wanted)
    assert all(0.8 * pause <= seconds <= 1.2 * pause for seconds, pause in zip(found, wanted, strict=True))
    assert states() == ["sent"]


def test_two_failures_and_then_success(vendor, clock):
    channel = add_channel()
    vendor.responses = [503, 503, 200]
    enqueue(1)
    run(clock, MINUTE)
    assert len(vendor.requests) == 3
    channel.refresh_from_db()
    assert (channel.failures_in_a_row, channel.failing_since, channel.not_before) == (0, None, None)
    assert channel.last_error.startswith("503")
    assert attempts() == [(1, 503, True), (1, 503, True), (1, 200, True)]


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7), ("86400", 3600), ("Mon, 04 May 2026 10:32:00 GMT", 120), ("Mon, 04 May 2026 10:30:07 -0000", 7)],
)
def test_waits_as_long_as_the_vendor_asks(vendor, clock, header, seconds):
    channel = add_channel()
    vendor.responses = [response_of(429, **{"retry-after": header})]
    enqueue(1)
    send_due()
    channel.refresh_from_db()
    paused = (channel.not_before - datetime.now(UTC)).total_seconds()
    assert paused == seconds


@pytest.mark.parametrize(
    "header", ["0", "-1", "soon", "", "1" * 400, "Mon, 04 May 2020 10:30:00 GMT", "\u0661", "0, 1"]
)
def test_a_wait_that_makes_no_sense_is_the_usual_pause(vendor, header):
    channel = add_channel()
    vendor.responses = [response_of(503, **{"retry-after": header})]
    enqueue(1)
    send_due()
    channel.refresh_from_db()
    assert 8 <= (channel.not_before - datetime.now(UTC)).total_seconds() <= 12


def test_a_dead_server_gets_a_request_per_pause_not_per_message(vendor, clock):
    add_channel(kind=PAGER)
    vendor.default = Unreachable("it could not be reached")
    enqueue(*range(100))
    run(clock, 10 * MINUTE)
    assert 5 <= len(vendor.requests) <= 12
    assert Notification.objects.exclude(attempts_made=0).count() == 1


# Channels that are dead.


@pytest.mark.parametrize("response", [response_of(410), response_of(404, "no_service"), response_of(403, "no_team")])
def test_a_channel_that_is_certainly_gone_is_disabled_immediately(vendor, response):
    channel = add_channel()
    vendor.responses = [response]
    enqueue(1)
    send_due()
    channel.refresh_from_db()
    assert (channel.enabled, channel.disabled_reason[:3]) == (False, str(response.status))
    assert (len(vendor.requests), states()) == (1, ["waiting"])


@pytest.mark.parametrize(
    ("statuses", "is_enabled"),
    [
        ([404, 404], True),
        ([404, 404, 404], False),
        ([401, 403, 404], False),
        ([503, 503, 404], True),
        ([503, 503, 404, 404], True),
        ([404, 503, 404, 404], True),
        ([404, 404, 200, 404], True),
    ],
)
def test_three_rejections_in_a_row_disable_a_channel(vendor, clock, statuses, is_enabled):
    channel = add_channel()
    vendor.responses = list(statuses)
    enqueue(1)
    for _ in range(300):
        if not vendor.responses:
            break
        if states()[-1] == "sent":
            enqueue(2)
        send_due()
        clock.shift(SECOND)
    channel.refresh_from_db()
    assert (channel.enabled, len(vendor.requests)) == (is_enabled, len(statuses))


def test_a_channel_that_is_enabled_again_sends_what_has_not_expired(vendor, clock):
    channel = add_channel()
    vendor.responses = [404, 404, 404]
    enqueue(1)
    clock.shift(HOUR)
    enqueue(2)
    run(clock, 10 * MINUTE, 5 * SECOND)
    channel.refresh_from_db()
    assert not channel.enabled
    clock.shift(5 * HOUR)
    Channel.objects.update(enabled=True)
    vendor.responses = [404]
    run(clock, 5 * SECOND)
    channel.refresh_from_db()
    assert (channel.enabled, states()) == (True, ["expired", "waiting"])


def test_an_enabled_channel_sends_immediately(vendor, clock):
    add_channel()
    vendor.responses = [404, 404, 404]
    enqueue(1)
    run(clock, 2 * MINUTE)
    assert not Channel.objects.get().enabled
    Channel.objects.update(enabled=True)
    send_due()
    assert states() == ["sent"]


def test_a_channel_that_fails_for_a_day_is_disabled(vendor, clock):
    channel = add_channel(kind=PAGER)
    vendor.default = Unreachable("it did not respond in time")
    for hour in range(25):
        enqueue(hour)
        run(clock, HOUR, MINUTE)
    run(clock, 90 * MINUTE, MINUTE)
    channel.refresh_from_db()
    assert not channel.enabled
    assert channel.disabled_reason == "failing for 24 hours: it did not respond in time"
    assert len(vendor.requests) <= 40


def test_a_failure_long_after_another_does_not_disable_a_channel(vendor, clock):
    channel = add_channel()
    vendor.default = 503
    enqueue(1)
    run(clock, 8 * HOUR, MINUTE)  # The pause before it expires may end 72 minutes later.
    assert states() == ["expired"]
    clock.shift(2 * DAY)
    enqueue(2)
    send_due()
    channel.refresh_from_db()
    assert (channel.enabled, channel.failing_since) == (True, datetime.now(UTC))


def test_an_address_that_may_not_be_reached_is_reported_and_tried_again(vendor):
    channel = add_channel()
    vendor.responses = [ForbiddenAddress("hooks.example leads to 10.0.0.7, which channels may not reach")]
    enqueue(1)
    send_due()
    channel.refresh_from_db()
    assert (channel.enabled, channel.failures_in_a_row) == (True, 1)
    assert "10.0.0.7" in channel.last_error


def test_a_secret_that_cannot_be_read_disables_a_channel_with_the_reason(vendor, settings):
    channel = add_channel()
    enqueue(1)
    settings.SECRET_KEY = "another-key"
    send_due()
    channel.refresh_from_db()
    assert (channel.enabled, vendor.requests, states()) == (False, [], ["waiting"])
    assert channel.disabled_reason == channel.last_error == "its secret cannot be read: SECRET_KEY has changed"


def test_a_kind_that_this_release_does_not_have_disables_a_channel(monkeypatch):
    channel = add_channel(kind=PAGER)
    enqueue(1)
    monkeypatch.delitem(TRANSPORTS, PAGER)
    send_due()
    channel.refresh_from_db()
    reason = "this site cannot send to the kind pager: see CHANNEL_PLUGINS"
    assert (channel.enabled, channel.disabled_reason) == (False, reason)


def test_a_muted_channel_waits(vendor, clock):
    add_channel(muted_until=datetime.now(UTC) + HOUR)
    enqueue(1)
    run(clock, 59 * MINUTE, MINUTE)
    assert states() == ["waiting"]
    run(clock, 2 * MINUTE, MINUTE)
    assert states() == ["sent"]


# What is not sent, and what is combined.


@pytest.mark.parametrize(("kind", "lifetime"), [(CHAT, 6 * HOUR), (PAGER, 24 * HOUR)])
def test_a_message_expires(vendor, clock, kind, lifetime):
    add_channel(kind=kind, muted_until=datetime.now(UTC) + lifetime - SECOND)
    enqueue(1)
    clock.shift(HOUR)
    enqueue(2)
    clock.shift(lifetime - HOUR)
    send_due()
    assert states() == ["expired", "sent"]


def test_a_breakage_that_was_fixed_before_it_was_reported_is_dropped_with_its_end(vendor):
    report_breakages_and_their_fixes(add_channel())
    enqueue(1)
    enqueue(2)
    enqueue(1, kind="fixed")
    enqueue(1)
    send_due()
    assert states() == ["dropped", "sent", "sent"]
    assert [text.split()[1] for text in vendor.texts] == ["w2", "w1"]


def test_the_end_of_a_breakage_that_may_have_been_reported_is_sent(vendor, clock):
    add_channel()
    vendor.responses = [503]
    enqueue(1)
    send_due()
    enqueue(1, kind="fixed")
    run(clock, 13 * SECOND)
    assert states() == ["sent", "sent"]


def test_the_end_of_a_breakage_on_another_branch_is_sent(vendor):
    add_channel()
    enqueue(1)
    enqueue(1, kind="fixed", branch="master")
    send_due()
    assert states() == ["sent", "sent"]


def test_a_storm_is_combined_in_chat(vendor):
    add_channel()
    enqueue(*range(31))
    enqueue(*range(40, 49), kind="fixed")
    send_due()
    assert len(vendor.requests) <= 6
    digest = Notification.objects.get(kind=NotificationKind.DIGEST)
    assert digest.state == "sent"
    assert (digest.parts.count(), states().count("merged")) == (40, 40)
    assert digest.content["headline"] == "40 messages: 31 broke, 9 fixed"
    assert (len(digest.content["facts"]), digest.content["facts"][-1]) == (16, ["And", "25 more"])
    assert digest.content["facts"][0] == ["orchard · w0", "broke on main"]
    assert "40 messages: 31 broke, 9 fixed" in vendor.texts[0]


def test_a_storm_is_not_combined_for_incidents(vendor):
    add_channel(kind=PAGER)
    enqueue(*range(40))
    send_due()
    assert (len(vendor.requests), set(states())) == (40, {"sent"})


def test_five_messages_are_not_combined(vendor):
    add_channel()
    enqueue(*range(5))
    send_due()
    assert len(vendor.requests) == 5


def test_a_digest_is_sent_before_what_is_newer(vendor):
    add_channel()
    enqueue(*range(52))
    send_due()
    assert [text.split(":")[0] for text in vendor.texts] == ["50 messages", "orchard", "orchard"]


def test_a_message_that_was_tried_is_not_combined_and_stays_first(vendor, clock):
    add_channel()
    vendor.responses = [503]
    enqueue(1)
    send_due()
    enqueue(*range(2, 12))
    run(clock, 13 * SECOND)
    assert vendor.texts[1:] == ["orchard: w1 broke on main (#1)", "10 messages: 10 broke"]


def test_a_queue_is_tidied_once_unless_messages_are_added(monkeypatch, vendor):
    def send(request):
        if len(vendor.requests) == 9:
            enqueue(30)
        return vendor(request)

    tidied, tidy = [], sending._tidy  # noqa: SLF001 - how often it runs is the point
    monkeypatch.setattr(sending, "_tidy", lambda *args: tidied.append(args) or tidy(*args))
    monkeypatch.setattr(
        "logs.notifications.guard.send", lambda request: (len(vendor.texts) == 9 and enqueue(30)) or vendor(request)
    )
    add_channel(kind=PAGER)
    enqueue(*range(20))
    send_due()
    assert (len(tidied), len(vendor.requests)) == (2, 21)


def test_a_breakage_that_is_fixed_while_another_is_sent_is_dropped(monkeypatch, vendor):
    def send(request):
        enqueue(2, kind="fixed")
        return vendor(request)

    monkeypatch.setattr("logs.notifications.guard.send", send)
    report_breakages_and_their_fixes(add_channel())
    enqueue(1, 2)
    send_due()
    assert states() == ["sent", "dropped"]


def test_a_great_storm_becomes_several_digests(vendor):
    add_channel()
    enqueue(*range(120))
    send_due()
    assert [text.split(":")[0] for text in vendor.texts] == ["50 messages", "50 messages", "20 messages"]


def test_a_digest_expires_with_its_newest_part(clock):
    add_channel(muted_until=datetime.now(UTC) + 3 * HOUR)
    enqueue(*range(10))
    latest = Notification.objects.latest("pk").expires_at
    clock.shift(3 * HOUR)
    send_due()
    assert Notification.objects.get(kind="digest").expires_at == latest


def test_the_hourly_limit_pauses_a_channel(vendor, clock):
    channel = add_channel(hourly_limit=3)
    enqueue(1, 2, 3, 4)
    send_due()
    assert states() == ["sent", "sent", "sent", "waiting"]
    channel.refresh_from_db()
    assert channel.not_before == datetime.now(UTC) + HOUR
    run(clock, HOUR - MINUTE, MINUTE)
    assert len(vendor.requests) == 3
    run(clock, 2 * MINUTE, MINUTE)
    assert set(states()) == {"sent"}


@pytest.mark.parametrize("options", [{"kind": PAGER, "hourly_limit": 3}, {"hourly_limit": None}])
def test_without_a_limit_there_is_no_pause(vendor, options):
    add_channel(**options)
    enqueue(1, 2, 3, 4)
    send_due()
    assert set(states()) == {"sent"}


# Tests of a channel.


def test_a_test_message_goes_first_while_the_channel_pauses(vendor, clock):
    channel = add_channel()
    vendor.responses = [503] * 5
    enqueue(1)
    run(clock, 5 * MINUTE, 5 * SECOND)
    assert not Channel.objects.due().exists()
    vendor.requests.clear()
    outbox.add_test(channel)
    outbox.add_test(channel)
    send_due()
    assert vendor.texts == ["Test message from webhooklog"] * 2 + ["orchard: w1 broke on main (#1)"]


def test_a_test_message_is_not_limited(vendor):
    channel = add_channel(hourly_limit=1)
    enqueue(1, 2)
    send_due()
    outbox.add_test(channel)
    send_due()
    assert vendor.texts[1:] == ["Test message from webhooklog"]
    assert states() == ["sent", "waiting", "sent"]


def test_a_test_message_expires_after_ten_minutes(vendor, clock):
    channel = add_channel()
    vendor.default = 503
    outbox.add_test(channel)
    run(clock, 10 * MINUTE, 10 * SECOND)
    clock.shift(12 * MINUTE)  # The longest pause after the attempts so far.
    send_due()
    assert states() == ["expired"]


def test_a_disabled_channel_sends_no_test():
    channel = add_channel(enabled=False)
    with pytest.raises(outbox.ChannelDisabled, match="The channel ops is disabled"):
        outbox.add_test(channel)
    assert not Notification.objects.exists()


# Faulty code and secrets.


class Faulty(Pager):
    """A plug-in with a defect."""

    def __init__(self, fault):
        self.fault = fault

    def deliver(self, message, send):
        return self.fault(message, send)


def raise_secret(message, send):
    raise ValueError(message.settings["url"])


def assert_no_secret(caplog):
    stored = [str(row) for model in (Notification, NotificationAttempt) for row in model.objects.values()]
    stored += [str(row) for row in Channel.objects.values("last_error", "disabled_reason", "options")]
    shown = "\n".join([caplog.text, *stored])
    for part in (URL, PATH, "S3cretS3"):
        assert part not in shown


def test_a_transport_that_raises_is_tried_later_and_shows_no_secret(transports, monkeypatch, clock, caplog):
    monkeypatch.setitem(transports, PAGER, Faulty(raise_secret))
    channel = add_channel(kind=PAGER)
    enqueue(1)
    run(clock, 15 * SECOND)
    channel.refresh_from_db()
    assert (channel.last_error, channel.enabled, states()) == ("internal error: ValueError", True, ["waiting"])
    assert len(attempts()) == 2
    assert "in raise_secret" in caplog.text
    assert_no_secret(caplog)


@pytest.mark.parametrize("status", [200, 400, 404, 410, 500])
@pytest.mark.parametrize(
    "body",
    [
        f"Cannot POST {PATH}",
        f"no route for {URL}",
        f'{{"path": {json.dumps(PATH).replace("/", chr(92) + "/")}}}',
        f"{'x' * 155} {PATH}",  # Cut in the middle of the secret.
    ],
)
def test_a_response_that_repeats_the_secret_shows_none(vendor, clock, caplog, status, body):
    caplog.set_level(logging.DEBUG)
    add_channel()
    vendor.default = response_of(status, body)
    enqueue(1)
    run(clock, 15 * SECOND)
    assert_no_secret(caplog)
    assert Notification.objects.get().last_error


def test_a_message_that_cannot_be_composed_does_not_hold_back_others(monkeypatch, vendor):
    compose = sending.compose

    def compose_some(notification):
        if notification.change.workflow == "w1":
            raise KeyError("colour")
        return compose(notification)

    monkeypatch.setattr(sending, "compose", compose_some)
    add_channel()
    enqueue(1, 2)
    send_due()
    assert states() == ["failed", "sent"]
    assert "cannot be composed" in Notification.objects.first().last_error


def test_a_database_error_while_composing_gives_up_nothing(monkeypatch):
    monkeypatch.setattr(sending, "compose", _fail)
    add_channel()
    enqueue(1)
    with pytest.raises(OperationalError):
        send_due()
    assert states() == ["waiting"]


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_explained(vendor, status):
    add_channel()
    vendor.responses = [status]
    enqueue(1)
    send_due()
    reason = f"{status}: redirects are not followed; enter the URL that it leads to"
    assert Notification.objects.get().last_error == reason


@pytest.mark.parametrize("response", [302, 402, 405, 407, 451, response_of(200, "Log in")])
def test_a_response_that_every_message_would_get_gives_up_none(vendor, clock, response):
    add_channel()
    vendor.responses = [response] * 2
    enqueue(1, 2)
    run(clock, 15 * SECOND)
    assert (len(vendor.requests), states()) == (2, ["waiting", "waiting"])


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_response_about_a_message_gives_up_this_one(vendor, status):
    add_channel()
    vendor.responses = [status]
    enqueue(1, 2)
    send_due()
    assert states() == ["failed", "sent"]


# Retention.


def test_old_notifications_are_deleted_with_their_attempts(vendor, clock, settings, monkeypatch):
    monkeypatch.setattr(transactions, "LOCK_PAUSE_SECONDS", 0)
    monkeypatch.setattr(outbox, "DELETED_TOGETHER", 3)
    settings.NOTIFICATION_RETENTION_DAYS = 30
    channel = add_channel()
    vendor.responses = [400]
    enqueue(1, 2)
    send_due()
    enqueue(*range(10, 20))
    send_due()
    Channel.objects.update(enabled=False)
    outbox.enqueue([])
    Notification.objects.create(channel=channel, kind="broke", key="w", expires_at=datetime.now(UTC) + 40 * DAY)
    clock.shift(30 * DAY - MINUTE)
    recent = Notification.objects.create(channel=channel, kind="broke", key="r", expires_at=datetime.now(UTC) + HOUR)
    assert sum(outbox.delete_old()) == 0
    clock.shift(2 * MINUTE)
    Notification.objects.update(kind="run")  # The last breakages would be kept.
    steps = list(outbox.delete_old())
    assert steps == [3, 3, 3, 3, 1]
    assert list(Notification.objects.order_by("pk").values_list("key", flat=True)) == ["w", recent.key]
    assert not NotificationAttempt.objects.exists()


def test_the_watch_expires_what_waits_in_disabled_channels(clock):
    add_channel()
    enqueue(1)
    Channel.objects.update(enabled=False)
    clock.shift(6 * HOUR)
    forget = next(task for task in tasks.all_tasks() if task.name == "forget")
    list(forget.run(None))
    assert states() == ["expired"]


# The dispatcher.


@pytest.fixture
def dispatcher():
    made = Dispatcher()
    yield made
    made.stop(lambda: None)


@pytest.fixture
def senders(monkeypatch):
    """Replace the senders; each is recorded and waits until it is let go."""

    class Senders:
        def __init__(self):
            self.started, self.were_stopping, self.let_go, self.fault = [], [], Event(), None

        def __call__(self, key, *, is_stopping):
            self.started.append(key)
            if self.fault:
                raise self.fault
            self.let_go.wait(10)
            self.were_stopping.append(is_stopping())

    fake = Senders()
    monkeypatch.setattr(dispatching, "send_waiting", fake)
    monkeypatch.setattr(dispatching.connection, "close", lambda: None)
    yield fake
    fake.let_go.set()


def wait_until(condition):
    pause = Event()
    for _ in range(500):
        if condition():
            return
        pause.wait(0.01)
    raise AssertionError


def test_starts_one_sender_for_each_channel_that_is_due(dispatcher, senders):
    channels = [add_channel(name) for name in ("ops", "chat")]
    enqueue(1)
    add_channel("idle")
    for _ in range(3):
        dispatcher.send_due()
    wait_until(lambda: len(senders.started) == 2)
    assert sorted(senders.started) == sorted(channel.pk for channel in channels)


def test_a_sender_that_fails_is_logged_and_started_again(dispatcher, senders, caplog):
    add_channel()
    enqueue(1)
    senders.fault = ValueError("no such colour")
    dispatcher.send_due()
    wait_until(lambda: "the sender of channel" in caplog.text)

    def is_started_again():
        dispatcher.send_due()
        return len(senders.started) > 1

    wait_until(is_started_again)


def test_stopping_waits_for_the_messages_in_flight(senders):
    dispatcher = Dispatcher()
    for number in range(dispatching.THREADS + 2):
        add_channel(f"channel {number}")
    enqueue(1)
    dispatcher.send_due()
    wait_until(lambda: len(senders.started) == dispatching.THREADS)
    beats = []
    stopping = Thread(target=dispatcher.stop, args=[lambda: beats.append(1)])
    stopping.start()
    wait_until(lambda: len(beats) == 2)
    assert dispatcher.is_stopping
    assert stopping.is_alive()
    senders.let_go.set()
    stopping.join(10)
    assert senders.were_stopping == [True] * dispatching.THREADS
    assert len(senders.started) == dispatching.THREADS


def test_stopping_ends_although_a_message_is_still_in_flight(senders, monkeypatch, caplog):
    monkeypatch.setattr(dispatching, "STOP_SECONDS", 0.1)
    dispatcher = Dispatcher()
    add_channel()
    enqueue(1)
    dispatcher.send_due()
    dispatcher.stop(lambda: None)
    assert "still in flight" in caplog.text
    assert senders.were_stopping == []


@pytest.mark.django_db(transaction=True)
def test_a_channel_with_many_messages_lets_others_send(monkeypatch, vendor):
    monkeypatch.setattr(sending, "SLICE_SECONDS", 0)
    monkeypatch.setattr(dispatching, "THREADS", 1)
    channels = [add_channel(name, kind=PAGER) for name in ("ops", "chat")]
    enqueue(1, 2, 3)
    dispatcher = Dispatcher()
    dispatcher.send_due()
    while set(states()) != {"sent"}:
        assert dispatcher.wake.wait(10)
        dispatcher.wake.clear()
        dispatcher.send_due()
        wait_until(lambda: not Channel.objects.exclude(claimed_until=None).exists())
    dispatcher.stop(lambda: None)
    order = list(NotificationAttempt.objects.order_by("pk").values_list("notification__channel", flat=True))
    assert sorted(order[:2]) == sorted(channel.pk for channel in channels)
    assert len(order) == 6


@pytest.mark.django_db(transaction=True)
def test_the_connection_returns_to_the_pool_before_the_request(monkeypatch, vendor):
    calls = []
    add_channel()
    enqueue(1)
    monkeypatch.setattr(sending.connection, "close", lambda: calls.append("close"))
    monkeypatch.setattr("logs.notifications.guard.send", lambda request: calls.append("send") or vendor(request))
    send_due()
    assert (calls, states()) == (["close", "send"], ["sent"])


@pytest.mark.django_db(transaction=True)
def test_threads_send_over_several_channels(vendor):
    for number in range(6):
        add_channel(f"channel {number}", kind=PAGER)
    enqueue(*range(5))
    dispatcher = Dispatcher()
    dispatcher.send_due()
    wait_until(lambda: set(states()) == {"sent"})
    dispatcher.stop(lambda: None)
    assert len(vendor.requests) == 30
