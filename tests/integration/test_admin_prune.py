"""Prune in the admin: what is beyond the rules is shown first, and goes with a reason only."""

import re
from datetime import timedelta
from html import unescape

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from logs import retention
from logs.admin.deliveries import prune as prune_page
from logs.models import Delivery, Outcome, WorkflowEvent

pytestmark = pytest.mark.django_db

PRUNE = reverse("admin:logs_delivery_prune")


@pytest.fixture(autouse=True)
def rules(settings, monkeypatch):
    """Keep deliveries for ten days, and all events."""
    settings.DELIVERY_RETENTION_DAYS, settings.DELIVERY_RETENTION_COUNT, settings.EVENT_RETENTION_DAYS = 10, 0, 0
    monkeypatch.setattr(retention, "LOCK_PAUSE_SECONDS", 0)


@pytest.fixture
def operator(staff_with):
    """A member of staff who may view deliveries and prune."""
    return staff_with("view_delivery", "prune_log", username="operator")


@pytest.fixture
def kept():
    """Three deliveries beyond the limit, and two within."""
    for days in (1, 2, 11, 12, 13):
        moment = timezone.now() - timedelta(days=days)
        values = {"outcome": Outcome.PING, "verified": True, "plausible": True, "headers": {}, "body": b"{}"}
        Delivery.objects.create(received_at=moment, judged_at=moment, **values)


def words(answer):
    assert answer.status_code == 200
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", answer.content.decode())).split())


def prune(client, reason="The disk is filling up."):
    return client.post(PRUNE, {"reason": reason}, follow=True)


def test_shows_each_rule_with_what_is_beyond_it(operator, kept):
    oldest = Delivery.objects.order_by("received_at").first().received_at
    page = words(operator.get(PRUNE))
    assert f"DELIVERY_RETENTION_DAYS 10 deliveries 3 {oldest:%Y-%m-%d %H:%M:%S} UTC" in page
    assert "DELIVERY_RETENTION_COUNT 0: off deliveries 0 – –" in page
    assert "EVENT_RETENTION_DAYS 0: off events 0 – –" in page
    assert Delivery.objects.count() == 5


def test_counts_no_further_than_anybody_waits_for(operator, kept, monkeypatch):
    monkeypatch.setattr(prune_page, "MAX_COUNTED", 2)
    with CaptureQueriesContext(connection) as captured:
        assert "deliveries more than 2" in words(operator.get(PRUNE))
    counts = [query["sql"] for query in captured.captured_queries if "COUNT(" in query["sql"]]
    assert counts
    assert all("LIMIT 3)" in sql for sql in counts)


def test_offers_nothing_where_nothing_is_beyond_the_limits(operator):
    page = operator.get(PRUNE)
    assert "Nothing to delete." in words(page)
    assert "<textarea" not in page.content.decode()


@pytest.mark.parametrize("reason", ["", " ", "x" * 501])
def test_nothing_goes_without_a_reason(operator, kept, reason):
    answer = prune(operator, reason)
    assert "errorlist" in answer.content.decode()
    assert (Delivery.objects.count(), LogEntry.objects.count()) == (5, 0)


def test_deletes_and_notes_who_did_it_and_why(operator, kept, settings):
    settings.EVENT_RETENTION_DAYS = 5
    old = timezone.now() - timedelta(days=6)
    WorkflowEvent.objects.create(event_id="old", received_at=old, verified=True)
    answer = prune(operator)
    assert answer.redirect_chain == [(PRUNE, 302)]
    account = "deliveries 3 (DELIVERY_RETENTION_DAYS=10), events 1 (EVENT_RETENTION_DAYS=5)"
    assert f"Deleted: {account}." in words(answer)
    assert (Delivery.objects.count(), WorkflowEvent.objects.count()) == (2, 0)
    entry = LogEntry.objects.get()
    assert entry.get_change_message() == f"Pruned: {account}. Reason: The disk is filling up."
    assert (entry.user.username, entry.object_repr, entry.get_admin_url()) == ("operator", "retention", None)


def test_stops_after_its_time_and_says_that_there_is_more(operator, kept, monkeypatch):
    monkeypatch.setattr(prune_page, "MAX_SECONDS", 0)
    monkeypatch.setattr(prune_page, "BATCH_SIZE", 2)
    page = words(prune(operator))
    assert "Deleted: deliveries 2" in page
    assert "More remain: delete again, or run manage.py prune." in page
    page = words(prune(operator))
    assert "Deleted: deliveries 1" in page
    assert "There is more" not in page
    assert Delivery.objects.count() == 2


def test_what_was_deleted_before_an_error_is_noted(operator, kept, monkeypatch):
    def breaks(rows, size):
        yield 2
        raise RuntimeError

    monkeypatch.setattr(prune_page, "delete_in_batches", breaks)
    with pytest.raises(RuntimeError):
        prune(operator)
    assert LogEntry.objects.get().get_change_message().startswith("Pruned: deliveries 2")


def test_the_entry_of_a_pruning_breaks_no_page_of_histories(operator, admin_client, kept):
    prune(operator)
    left = Delivery.objects.first()
    assert "Pruned" not in words(admin_client.get(reverse("admin:logs_delivery_history", args=[left.pk])))
    log = words(admin_client.get(reverse("admin:admin_logentry_changelist")))
    assert "retention" in log
    assert "Reason: The disk is filling up." in log
    entry = LogEntry.objects.get()
    assert "Pruned" in words(admin_client.get(reverse("admin:admin_logentry_change", args=[entry.pk])))
    assert admin_client.get(reverse("admin:index")).status_code == 200


def test_nothing_goes_by_a_link(operator, kept):
    operator.get(PRUNE, {"reason": "a link", "confirm": "yes"})
    assert Delivery.objects.count() == 5


@pytest.mark.parametrize("codenames", [[], ["view_delivery"], ["prune_log"], ["view_delivery", "replay_delivery"]])
def test_only_operators_prune(user_with, client_of, kept, codenames):
    user = user_with(*codenames)
    user.is_staff = True
    user.save()
    client = client_of(user)
    assert client.get(PRUNE).status_code == 403
    assert client.post(PRUNE, {"reason": "because"}).status_code == 403
    assert Delivery.objects.count() == 5


def test_no_other_site_can_make_an_operator_prune(csrf_client, operator, kept):
    csrf_client.cookies = operator.cookies
    assert prune(csrf_client).status_code == 403
    assert Delivery.objects.count() == 5


def test_the_list_of_deliveries_leads_here(operator):
    assert f'href="{PRUNE}"' in operator.get(reverse("admin:logs_delivery_changelist")).content.decode()
