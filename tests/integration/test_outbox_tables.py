"""Which channels may send, and what it costs to delete old notifications."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from logs.models import Channel, Notification, NotificationState
from logs.notifications import outbox
from tests.plans import analyze, plan_of

pytestmark = pytest.mark.django_db

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)


@pytest.fixture
def channel():
    channel = Channel.objects.create(name="ops", kind="slack")
    outbox.add_test(channel)
    return channel


@pytest.mark.parametrize("column", ["claimed_until", "not_before"])
@pytest.mark.parametrize(("ahead", "is_due"), [(-MINUTE, True), (MINUTE, False), (HOUR, False), (DAY, True)])
def test_a_clock_that_was_ahead_blocks_no_channel(channel, column, ahead, is_due):
    Channel.objects.update(**{column: timezone.now() + ahead})
    assert Channel.objects.due().exists() is is_due


def test_deleting_old_notifications_looks_for_the_parts_of_digests_in_an_index(channel, settings):
    old = timezone.now() - (settings.NOTIFICATION_RETENTION_DAYS + 1) * DAY
    Notification.objects.bulk_create(
        Notification(
            channel=channel,
            kind="broke",
            key=f"broke:{number}",
            state=NotificationState.SENT,
            created_at=old if number < 100 else timezone.now(),
            sent_at=old if number < 100 else timezone.now(),
            expires_at=timezone.now(),
        )
        for number in range(5_000)
    )
    analyze()
    with CaptureQueriesContext(connection) as captured:
        list(outbox.delete_old())
    assert Notification.objects.count() == 4_901
    searches = [query["sql"] for query in captured if "merged_into_id" in query["sql"].partition("WHERE")[2]]
    assert searches
    for sql in searches:
        assert "notification_parts" in plan_of(sql)
