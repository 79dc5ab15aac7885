"""Breakages become tickets in Zendesk and records in Airtable, from the run to the vendor."""

from datetime import UTC, datetime

import pytest

from logs.models import Channel, Notification, StateChange
from logs.notifications import outbox, reminding, sending
from logs.notifications.composing import compose
from logs.notifications.guard import Response
from logs.notifications.sealing import seal
from logs.standings.following import Follower
from tests.integration.rules_for_tests import add_rule, enqueue_changes
from tests.integration.standings_log import DAY, HOUR, MINUTE, SECOND, FakeLease, log_run
from tests.unit.notifications.channels import test_airtable, test_zendesk
from tests.unit.notifications.channels.test_airtable import FakeAirtable
from tests.unit.notifications.channels.test_zendesk import FakeZendesk

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("webhook_secrets")]

SETTINGS = {"zendesk": test_zendesk.SETTINGS, "airtable": test_airtable.SETTINGS}


class Killed(BaseException):
    """Ends the sender like a signal that cannot be caught."""


class Site:
    """A site's watch, with its senders and one channel."""

    def __init__(self, clock, kind, **options):
        self.clock, self.follower, self.lease = clock, Follower(outbox.enqueue), FakeLease()
        settings = SETTINGS[kind] | options
        secrets = {"token": settings.pop("token")}
        self.channel = Channel.objects.create(
            name=kind, kind=kind, options=settings, sealed=seal(secrets), hourly_limit=None
        )
        add_rule(self.channel, remind_every_hours=24)
        self.check()

    def check(self):
        list(self.follower.check(self.lease))
        list(reminding.remind(FakeLease()))
        list(reminding.end_resting(FakeLease()))
        self.send()

    def send(self):
        for key in Channel.objects.due().values_list("pk", flat=True):
            sending.send_waiting(key, is_stopping=lambda: False)

    def run(self, number, status):
        log_run(number, status)
        self.check()
        self.clock.shift(MINUTE)

    def skip(self, span):
        """Let time pass in which nothing is logged."""
        self.clock.shift(span)
        self.lease.cursor |= {"until": datetime.now(UTC).isoformat()}
        self.check()

    def kill_sender_after_request(self, monkeypatch):
        """Send what waits; the process ends between the response and the mark."""

        def kill(*args, **options):
            raise Killed

        with monkeypatch.context() as crash:
            crash.setattr(sending, "_finish", kill)
            with pytest.raises(Killed):
                self.check()
        Channel.objects.update(claimed_until=datetime.now(UTC) + sending.LEASE)  # It could not give the lease back.
        self.clock.shift(sending.LEASE + SECOND)
        self.send()


@pytest.fixture
def zendesk(monkeypatch):
    fake = FakeZendesk()
    monkeypatch.setattr("logs.notifications.guard.send", fake)
    return fake


@pytest.fixture
def airtable(monkeypatch):
    fake = FakeAirtable()
    monkeypatch.setattr("logs.notifications.guard.send", fake)
    return fake


def states():
    return list(Notification.objects.order_by("pk").values_list("kind", "state"))


# Zendesk.


def tickets(zendesk):
    """Return the status of each ticket, and the number of its comments."""
    return [(ticket["status"], len(ticket["comments"])) for ticket in zendesk.tickets]


def test_a_breakage_opens_a_ticket_and_its_fix_comments_and_solves_it(clock, zendesk):
    site = Site(clock, "zendesk")
    site.run(1, "failed")
    [ticket] = zendesk.tickets
    assert (ticket["subject"], ticket["status"]) == ("orchard: build-and-test broke on main", "new")
    assert ticket["external_id"] == Notification.objects.get().thread
    site.run(2, "failed")
    site.run(3, "success")
    assert tickets(zendesk) == [("solved", 2)]
    assert "build-and-test is fixed on main" in ticket["comments"][1]["html_body"]
    assert states() == [("broke", "sent"), ("fixed", "sent")]


def test_a_fix_only_comments_if_the_channel_is_set_to(clock, zendesk):
    site = Site(clock, "zendesk", on_fixed="comment")
    site.run(1, "failed")
    site.run(2, "success")
    assert tickets(zendesk) == [("new", 2)]


def test_a_sender_that_is_killed_before_it_marks_the_breakage_opens_one_ticket(monkeypatch, clock, zendesk):
    site = Site(clock, "zendesk")
    log_run(1, "failed")
    site.kill_sender_after_request(monkeypatch)
    assert [request.method for request in zendesk.requests] == ["POST", "POST"]
    assert tickets(zendesk) == [("new", 1)]
    assert states() == [("broke", "sent")]


def test_a_sender_that_is_killed_before_it_marks_the_fix_comments_once(monkeypatch, clock, zendesk):
    site = Site(clock, "zendesk")
    site.run(1, "failed")
    log_run(2, "success")
    site.kill_sender_after_request(monkeypatch)
    assert tickets(zendesk) == [("solved", 2)]
    assert states() == [("broke", "sent"), ("fixed", "sent")]


def test_the_next_breakage_opens_another_ticket(clock, zendesk):
    site = Site(clock, "zendesk")
    for number, status in enumerate(["failed", "success", "failed"], 1):
        site.run(number, status)
    assert tickets(zendesk) == [("solved", 2), ("new", 1)]


def test_a_reminder_comments_on_the_ticket_and_a_branch_that_rests_solves_it(clock, zendesk):
    site = Site(clock, "zendesk")
    site.run(1, "failed")
    site.skip(DAY)
    assert tickets(zendesk) == [("new", 2)]
    site.skip(30 * DAY)
    assert tickets(zendesk) == [("solved", 3)]
    assert "no longer runs on main" in zendesk.tickets[0]["comments"][2]["html_body"]


def test_a_storm_opens_a_ticket_each(clock, zendesk):
    site = Site(clock, "zendesk")
    now = datetime.now(UTC)
    columns = {"kind": "broke", "happened_at": now, "noted_at": now, "failures": 1, "branch": "main"}
    for number in range(40):
        change = StateChange.objects.create(project_slug="github/acme/orchard", workflow=f"w{number}", **columns)
        enqueue_changes(change)
    site.send()
    assert tickets(zendesk) == [("new", 1)] * 40
    assert not Notification.objects.filter(kind="digest").exists()


def test_a_channel_pauses_as_long_as_zendesk_asks(monkeypatch, clock, zendesk):
    site = Site(clock, "zendesk")
    busy = Response(status=429, headers={"retry-after": "93"}, body=b"")
    with monkeypatch.context() as limited:
        limited.setattr("logs.notifications.guard.send", lambda _: busy)
        log_run(1, "failed")
        site.check()
    clock.shift(92 * SECOND)
    site.send()
    assert tickets(zendesk) == []
    clock.shift(2 * SECOND)
    site.send()
    assert tickets(zendesk) == [("new", 1)]


def test_a_wrong_token_disables_the_channel(clock, zendesk):
    site = Site(clock, "zendesk", token="another-token-0123456789")
    site.run(1, "failed")
    site.channel.refresh_from_db()
    assert not site.channel.enabled
    assert site.channel.disabled_reason.startswith("401 ")
    assert states() == [("broke", "waiting")]


# Airtable.


def test_a_breakage_its_reminder_and_its_fix_update_one_record(clock, airtable):
    site = Site(clock, "airtable")
    site.run(1, "failed")
    [record] = airtable.records
    assert (record["Status"], record["Ended at"]) == ("broken", None)
    site.skip(DAY)
    site.run(2, "success")
    assert [kind for kind, _ in states()] == ["broke", "reminder", "fixed"]
    assert airtable.records == [record]
    assert record["webhooklog id"].endswith(f"-{StateChange.objects.earliest('pk').pk}")
    assert (record["Status"], record["Workflow"], record["Branch"]) == ("fixed", "build-and-test", "main")
    assert record["Began at"] < record["Ended at"]
    assert "First failing commit: " in record["Details"]
    assert "Fixed by commit: " in record["Resolution"]


def test_each_breakage_of_a_branch_is_a_record(clock, airtable):
    site = Site(clock, "airtable")
    for number, status in enumerate(["failed", "success", "failed"], 1):
        site.run(number, status)
    assert [record["Status"] for record in airtable.records] == ["fixed", "broken"]


def test_a_sender_that_is_killed_before_it_marks_the_breakage_adds_one_record(monkeypatch, clock, airtable):
    site = Site(clock, "airtable")
    log_run(1, "failed")
    site.kill_sender_after_request(monkeypatch)
    assert airtable.sizes == [1, 1]
    assert len(airtable.records) == 1


def test_a_channel_pauses_for_30_seconds_if_airtable_is_busy(monkeypatch, clock, airtable):
    site = Site(clock, "airtable")
    with monkeypatch.context() as limited:
        busy = Response(status=429, headers={}, body=b"")
        limited.setattr("logs.notifications.guard.send", lambda _: busy)
        log_run(1, "failed")
        site.check()
    site.channel.refresh_from_db()
    assert site.channel.not_before - datetime.now(UTC) == 30 * SECOND


def test_a_table_without_a_field_fails_the_message_and_names_the_fields(clock, airtable):
    airtable.fields.remove("Branch")
    site = Site(clock, "airtable")
    site.run(1, "failed")
    notification = Notification.objects.get()
    assert notification.state == "failed"
    assert notification.last_error.startswith("422 ")
    assert "Unknown field name" in notification.last_error
    assert "The table needs the fields webhooklog id, Message, " in notification.last_error


# The content of a fix names its breakage.


def test_a_fix_names_the_breakage_that_it_ends(clock, zendesk, django_assert_num_queries):
    site = Site(clock, "zendesk")
    for number, status in enumerate(["failed", "success", "failed", "success"], 1):
        site.run(number, status)
        site.clock.shift(HOUR)
    broke, fixed = Notification.objects.order_by("pk")[2:]
    assert compose(broke).data["breakage_id"] == compose(fixed).data["breakage_id"] == broke.change_id
    assert compose(fixed).data["id"] == fixed.change_id
    with django_assert_num_queries(3):  # The run, the change, and its breakage.
        compose(fixed)


def test_a_fix_whose_breakage_was_deleted_names_no_other(clock, zendesk):
    site = Site(clock, "zendesk")
    for number, status in enumerate(["failed", "success", "failed", "success"], 1):
        site.run(number, status)
    StateChange.objects.filter(kind="broke").latest("pk").delete()
    assert compose(Notification.objects.latest("pk")).data["breakage_id"] is None


# The end of a branch that is no longer used.


def test_a_record_of_a_branch_that_rests_has_no_end_and_is_open_again_with_its_next_failure(clock, airtable):
    site = Site(clock, "airtable")
    site.run(1, "failed")
    site.skip(31 * DAY)
    [record] = airtable.records
    assert (record["Status"], record["Ended at"]) == ("fixed", None)
    assert "no run for 30 days" in record["Resolution"]
    site.run(2, "failed")
    assert airtable.records == [record]
    assert (record["Status"], record["Resolution"]) == ("broken", None)
