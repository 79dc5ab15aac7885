"""Refused deliveries are found by an index, and a check reads only those of the last half hour."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from logs.models import Delivery, Outcome
from logs.notifications.alarms.refusals import find_refusals
from tests.plans import analyze, assert_reads_little, vacuum

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("webhook_secrets")]

DELIVERIES = 10_000
NEWEST = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def django_db_setup(django_db_setup, django_db_blocker):
    """Fill the log once for all tests of this module."""
    with django_db_blocker.unblock():
        Delivery.objects.bulk_create((_delivery(number) for number in range(DELIVERIES)), batch_size=2_000)
        vacuum()
        yield
        Delivery.objects.all().delete()


def _delivery(number):
    received_at = NEWEST - timedelta(minutes=number)
    return Delivery(
        received_at=received_at,
        judged_at=received_at,
        outcome=Outcome.UNVERIFIED if number % 5 == 0 else Outcome.LOGGED,
        verified=number % 5 != 0,
        plausible=number % 2 == 0,
        headers={},
        body=b"{}",
    )


@pytest.mark.parametrize("is_analyzed", [True, False])
def test_refusals_are_read_from_an_index(is_analyzed):
    if is_analyzed:
        analyze()
    with time_machine.travel(NEWEST, tick=False), CaptureQueriesContext(connection) as captured:
        find_refusals((), NEWEST)
    [sql] = [query["sql"] for query in captured]
    assert_reads_little(sql, "delivery_outcome_newest", is_range=True, most=10)
