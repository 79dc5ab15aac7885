"""Each breakage that a channel got has an end, and a channel gets no breakage that is already over."""

from datetime import UTC, datetime

import pytest

from logs.models import Channel, Notification, Rule
from logs.notifications import outbox
from logs.notifications.resending import Impossible, send_again
from tests.integration.rules_for_tests import add_rule
from tests.integration.standings_log import DAY, HOUR, MINUTE, log_run
from tests.integration.test_rules import PAGER, Site, add_channel

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("webhook_secrets")]


@pytest.fixture
def site(clock):
    return Site(clock)


def rows():
    return list(Notification.objects.order_by("pk").values_list("kind", "state"))


def check_without_sending(site):
    list(site.follower.check(site.leases[0]))


@pytest.mark.parametrize("kind", ["slack", PAGER])
def test_a_disabled_channel_drops_what_is_over(site, kind):
    channel = add_channel(kind=kind)
    add_rule(channel)
    log_run(1, "failed")
    check_without_sending(site)
    Channel.objects.update(enabled=False, disabled_reason="400 Invalid routing key")
    site.clock.shift(5 * MINUTE)
    log_run(2, "success")
    check_without_sending(site)
    assert rows() == [("broke", "dropped")]


def test_two_breakages_that_wait_are_dropped_by_one_fix(site):
    add_rule(add_channel(kind=PAGER))
    log_run(1, "failed")
    check_without_sending(site)
    log_run(2, "success")
    log_run(3, "failed")
    check_without_sending(site)
    log_run(4, "success")
    check_without_sending(site)
    assert set(rows()) == {("broke", "dropped")}


def test_a_breakage_that_was_sent_before_one_that_waits_is_ended(site):
    add_rule(add_channel(kind=PAGER))
    site.run(1, "failed")
    log_run(2, "success")
    log_run(3, "failed")
    check_without_sending(site)
    log_run(4, "success")
    check_without_sending(site)
    assert rows() == [("broke", "sent"), ("broke", "dropped"), ("fixed", "waiting")]


def test_reminders_that_wait_are_dropped_by_the_fix(site):
    add_rule(add_channel(), remind_every_hours=1)
    site.run(1, "failed")
    Notification.objects.create(
        channel=Channel.objects.get(),
        kind="reminder",
        key="waits",
        thread=Notification.objects.get().thread,
        expires_at=datetime.now(UTC) + HOUR,
    )
    log_run(2, "success")
    check_without_sending(site)
    assert rows() == [("broke", "sent"), ("reminder", "dropped"), ("fixed", "waiting")]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", ["slack", PAGER])
def test_a_breakage_that_outlives_retention_is_ended(site, settings, kind):
    settings.NOTIFICATION_RETENTION_DAYS = 7
    add_rule(add_channel(kind=kind))
    site.run(1, "failed")
    for number in range(2, 11):
        site.skip(DAY)
        site.run(number, "failed")
        list(outbox.delete_old())
    site.run(20, "success")
    assert rows() == [("broke", "sent"), ("fixed", "sent")]
    site.clock.shift(8 * DAY)
    assert sum(outbox.delete_old()) == 2


def test_a_quiet_fix_ends_an_incident(site):
    add_rule(add_channel(kind=PAGER), add_channel("chat"))
    site.run(1, "failed")
    site.clock.shift(3 * HOUR)
    log_run(2, "success", ended=2 * HOUR)
    site.check()
    assert Notification.objects.get(kind="fixed").channel.kind == PAGER


def test_an_unsigned_incident_ends_without_its_rule(site, settings):
    settings.CIRCLECI_WEBHOOK_SECRETS = {"lab": None}
    add_rule(add_channel(kind=PAGER), allow_unverified=True)
    site.run(1, "failed", webhook_slug="lab")
    Rule.objects.update(enabled=False)
    site.run(2, "success", webhook_slug="lab")
    assert rows() == [("broke", "sent"), ("fixed", "sent")]


def test_a_copy_of_an_old_fix_ends_no_new_breakage(site):
    add_rule(add_channel())
    site.run(1, "failed")
    site.run(2, "success")
    fix = Notification.objects.get(kind="fixed")
    site.run(3, "failed")
    send_again(fix.pk)
    site.check()
    site.run(4, "success")
    assert [kind for kind, _ in rows()] == ["broke", "fixed", "broke", "fixed", "fixed"]


def test_a_copy_of_a_breakage_does_not_delay_its_reminders(site):
    add_rule(add_channel(), remind_every_hours=2)
    site.run(1, "failed")
    site.clock.shift(HOUR)
    send_again(Notification.objects.get().pk)
    site.check()
    site.clock.shift(HOUR)
    site.check()
    assert [kind for kind, _ in rows()] == ["broke", "broke", "reminder"]


def test_a_breakage_that_expired_and_is_over_is_not_sent_again_as_an_incident(site):
    add_rule(add_channel(kind=PAGER))
    log_run(1, "failed")
    check_without_sending(site)
    Notification.objects.update(state="expired")
    site.run(2, "success")
    with pytest.raises(Impossible, match="newer"):
        send_again(Notification.objects.get().pk)
