"""Refused deliveries are kept for the operator, but strangers can neither fill the disk nor push out what matters."""

from datetime import timedelta
from ipaddress import ip_address

import pytest
import time_machine
from django.db import IntegrityError, connection
from django.test.utils import CaptureQueriesContext

from logs.models import Delivery, Outcome

pytestmark = pytest.mark.django_db


def refuse(deliver, **kwargs):
    answer = deliver(b"a stranger's body", secret=None, **kwargs)
    assert answer.status_code == 401


def test_keeps_the_newest_and_drops_the_oldest(deliver, settings):
    settings.REFUSED_DELIVERIES_MAX = 3
    for number in range(5):
        refuse(deliver, path=f"/log-circleci-webhook/number-{number}")
    kept = Delivery.objects.newest_first().values_list("webhook_slug", flat=True)
    assert list(kept) == [f"number-{number}" for number in (4, 3, 2)]


def test_strangers_push_out_neither_events_nor_authentic_refusals(deliver, workflow_document, settings):
    settings.REFUSED_DELIVERIES_MAX = 2
    deliver(workflow_document())
    deliver(b"authentic, but malformed")
    for _ in range(5):
        refuse(deliver)
    outcomes = sorted(Delivery.objects.values_list("outcome", flat=True))
    assert outcomes == [Outcome.LOGGED, Outcome.MALFORMED, Outcome.UNVERIFIED, Outcome.UNVERIFIED]


def test_dropping_refused_deliveries_leaves_accepted_ones_alone(deliver, workflow_document, settings):
    settings.REFUSED_DELIVERIES_MAX = 1
    deliver(workflow_document())
    # Of the same group: verified, and plausible.
    for _ in range(3):
        assert deliver(b'{"id": "without a type"}').status_code == 400
    assert sorted(Delivery.objects.values_list("outcome", flat=True)) == [Outcome.LOGGED, Outcome.MALFORMED]


def test_dropping_the_oldest_reads_no_bodies(deliver, settings):
    settings.REFUSED_DELIVERIES_MAX = 1
    refuse(deliver)
    with CaptureQueriesContext(connection) as captured:
        refuse(deliver)
    assert Delivery.objects.count() == 1
    assert not [query["sql"] for query in captured if query["sql"].startswith("SELECT") and '"body"' in query["sql"]]


def test_keeps_so_many_of_one_address_in_a_minute_and_refuses_the_rest_unkept(deliver, settings):
    settings.REFUSED_DELIVERIES_PER_MINUTE = 2
    with time_machine.travel("2026-05-04 10:00", tick=False) as clock:
        for _ in range(4):
            refuse(deliver, REMOTE_ADDR="192.0.2.1")
        refuse(deliver, REMOTE_ADDR="192.0.2.2")
        assert Delivery.objects.filter(client_address="192.0.2.1").count() == 2
        assert Delivery.objects.filter(client_address="192.0.2.2").count() == 1
        clock.shift(timedelta(seconds=61))
        refuse(deliver, REMOTE_ADDR="192.0.2.1")
    assert Delivery.objects.filter(client_address="192.0.2.1").count() == 3


# In each, the addresses differ in where "::" is, and the last one is of another network.
@pytest.mark.parametrize(
    "addresses",
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2:3::", "2001:db8:1:3::1"),
        ("2001:db8::1", "2001:db8::1:0:0:1", "2001:db8:0:0:1::", "2001:db8::1:0:0:0:1"),
        ("2001:db8:1::1", "2001:db8:1::1:2:3:4", "2001:db8:1:0:1::", "2001:db8:1:1::1"),
        ("2001:db8:0:5::1", "2001:db8:0:5:6:7:8:9", "2001:db8:0:5:0:0:8:9", "2001:db8:0:50::1"),
        ("2001:0:0:5::1", "2001::5:6:7:8:9", "2001:0:0:5:6::", "2001:0:0:6::1"),
        ("::1", "::7:8:9:a", "0:0:0:0:7::", "0:0:0:7::1"),
        ("::1:2:3:4", "::5", "0:0:0:0:7::", "192.0.2.1"),
    ],
)
def test_all_addresses_of_an_ipv6_network_share_one_limit(deliver, settings, addresses):
    settings.REFUSED_DELIVERIES_PER_MINUTE = 2
    for address in addresses:
        refuse(deliver, REMOTE_ADDR=address)
    first, second, _, other = (str(ip_address(address)) for address in addresses)
    assert list(Delivery.objects.order_by("pk").values_list("client_address", flat=True)) == [first, second, other]


def test_what_is_not_kept_of_a_flood_costs_one_look_and_no_transaction(deliver, settings, django_assert_num_queries):
    settings.REFUSED_DELIVERIES_PER_MINUTE = 1
    refuse(deliver)
    with django_assert_num_queries(1):
        refuse(deliver)


def test_a_flood_does_not_hinder_authentic_deliveries(deliver, workflow_document, settings):
    settings.REFUSED_DELIVERIES_PER_MINUTE = 1
    for _ in range(3):
        refuse(deliver)
    assert deliver(workflow_document()).status_code == 201
    assert deliver(b"authentic, but malformed").status_code == 400
    assert Delivery.objects.filter(outcome=Outcome.MALFORMED).count() == 1


def test_cuts_a_strangers_body_but_keeps_an_authentic_one_whole(deliver, settings):
    settings.REFUSED_BODY_MAX_BYTES = 10
    refuse(deliver)
    deliver(b"authentic, but malformed")
    assert bytes(Delivery.objects.get(outcome=Outcome.UNVERIFIED).body) == b"a stranger"
    assert bytes(Delivery.objects.get(outcome=Outcome.MALFORMED).body) == b"authentic, but malformed"


def test_stores_the_original_length_of_a_body_that_was_cut(deliver, deliver_in_chunks, settings):
    settings.REFUSED_BODY_MAX_BYTES = 10
    for answer in (deliver(b"a stranger's body", secret="wrong"), deliver_in_chunks(b"a stranger's body", "wrong")):
        assert answer.status_code == 401
    for delivery in Delivery.objects.all():
        assert (len(delivery.body), delivery.original_length, delivery.is_whole) == (10, 17, False)


def test_a_chunked_body_that_was_not_cut_is_whole(deliver_in_chunks):
    deliver_in_chunks(b"a stranger's body", secret="wrong")
    delivery = Delivery.objects.get()
    assert "content-length" not in delivery.headers
    assert (delivery.original_length, delivery.is_whole) == (17, True)


@pytest.mark.parametrize("headers", [{}, {"content_type": "text/plain"}, {"content_encoding": "gzip"}])
def test_a_chunked_body_that_was_not_read_is_not_whole(deliver_in_chunks, settings, headers):
    settings.MAX_BODY_BYTES = 10
    deliver_in_chunks(b"a stranger's body", "wrong", **{name.replace("_", "-"): headers[name] for name in headers})
    delivery = Delivery.objects.get()
    assert (delivery.outcome, delivery.original_length, delivery.is_whole) == (Outcome.REJECTED, None, False)


def test_a_delivery_from_before_lengths_were_stored_is_measured_by_its_header(deliver):
    deliver(b"a stranger's body", secret="wrong")
    Delivery.objects.update(body_length=None)
    assert Delivery.objects.get().is_whole
    Delivery.objects.update(body=b"a stranger")
    assert not Delivery.objects.get().is_whole


def test_limits_what_is_malformed_at_an_unsigned_webhook_like_strangers(deliver, webhook_secrets, settings):
    webhook_secrets |= {"lab": None}
    settings.REFUSED_DELIVERIES_PER_MINUTE = 1
    for _ in range(2):
        assert deliver(b"anybody's body", "/log-circleci-webhook/lab", secret=None).status_code == 400
    assert Delivery.objects.filter(outcome=Outcome.MALFORMED, verified=False).count() == 1


def test_cuts_headers_and_addresses_of_any_length(deliver):
    refuse(deliver, path=f"/log-circleci-webhook/{'p' * 3_000}", headers={"user-agent": "u" * 5_000})
    delivery = Delivery.objects.get()
    assert len(delivery.webhook_slug) == 255
    assert len(delivery.headers["user-agent"]) == 1_000


def test_writes_the_reason_but_nothing_of_the_request_into_the_log(deliver, caplog):
    deliver(b"forged\nline", secret=None, headers={"user-agent": "forged\nline", "circleci-signature": "v1=\nforged"})
    assert "the circleci-signature matches no secret" in caplog.text
    assert "forged" not in caplog.text


@pytest.mark.parametrize(
    ("headers", "status", "reason"),
    [
        ({"content-type": "text/plain"}, 415, "the content type is not application/json"),
        ({}, 413, "the body is longer than 10 bytes; see MAX_BODY_BYTES"),
    ],
)
def test_keeps_a_trace_of_what_it_does_not_even_read(deliver, workflow_document, settings, headers, status, reason):
    settings.MAX_BODY_BYTES = 10
    assert deliver(workflow_document(), headers=headers).status_code == status
    delivery = Delivery.objects.get()
    assert (delivery.outcome, delivery.reason, bytes(delivery.body)) == (Outcome.REJECTED, reason, b"")


def test_noise_does_not_push_out_what_looks_like_circleci(deliver, workflow_document, settings):
    settings.REFUSED_DELIVERIES_MAX = 2
    deliver(workflow_document(1), secret="the secret of yesterday")
    deliver(workflow_document(2), secret="the secret of yesterday")
    for _ in range(5):
        refuse(deliver)
        refuse(deliver, headers={"user-agent": "curl/8"})
    kept = Delivery.objects.order_by("pk").values_list("plausible", flat=True)
    assert list(kept) == [True, True, False, False]


@pytest.mark.parametrize("most_bytes", [0, 1])
def test_a_body_that_was_cut_is_as_plausible_as_before(deliver, settings, most_bytes):
    settings.REFUSED_BODY_MAX_BYTES = most_bytes
    deliver(b' {"id": 1}', secret=None)
    delivery = Delivery.objects.get()
    assert (len(delivery.body), delivery.plausible) == (most_bytes, True)


@pytest.mark.parametrize(
    ("payload", "headers", "plausible"),
    [
        (b'{"id": 1}', {}, True),
        (b' \n{"id": 1}', {}, True),
        (b"[]", {}, False),
        (b"", {}, False),
        (b'{"id": 1}', {"user-agent": "curl/8"}, False),
        (b'{"id": 1}', {"circleci-event-type": None}, False),
    ],
)
def test_tells_noise_from_what_deserves_a_look(deliver, payload, headers, plausible):
    deliver(payload, secret=None, headers=headers)
    assert Delivery.objects.get().plausible is plausible


def test_the_database_itself_refuses_a_delivery_that_is_unverified_and_verified(deliver):
    refuse(deliver)
    with pytest.raises(IntegrityError, match="delivery_unverified_not_verified"):
        Delivery.objects.update(verified=True)


def test_a_lowered_maximum_is_enforced_at_the_next_refusal(deliver, settings):
    for _ in range(6):
        refuse(deliver)
    settings.REFUSED_DELIVERIES_MAX = 2
    refuse(deliver)
    assert Delivery.objects.count() == 2


def test_a_refusal_deletes_only_some_of_a_large_surplus(deliver, settings, monkeypatch):
    monkeypatch.setattr("logs.models.deliveries.MAX_DELETED_AT_ONCE", 3)
    for _ in range(6):
        refuse(deliver)
    settings.REFUSED_DELIVERIES_MAX = 2
    left = []
    for _ in range(3):
        refuse(deliver)
        left.append(Delivery.objects.count())
    assert left == [4, 2, 2]


def test_the_log_tells_whether_a_delivery_was_kept(deliver, settings, caplog):
    settings.REFUSED_DELIVERIES_PER_MINUTE = 1
    refuse(deliver)
    refuse(deliver)
    told = [record.getMessage().split(":")[0] for record in caplog.records if record.name == "logs.ingest.pipeline"]
    assert told == ["unverified delivery from 127.0.0.1, stored", "unverified delivery from 127.0.0.1, not stored"]
