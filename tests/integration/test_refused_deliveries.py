"""Refused deliveries are kept for the operator, but strangers can neither fill the disk nor push out what matters."""

from datetime import timedelta

import pytest
import time_machine

from logs.models import Delivery, Outcome

pytestmark = pytest.mark.django_db


def refuse(deliver, **kwargs):
    answer = deliver(b"a stranger's body", secret=None, **kwargs)
    assert answer.status_code == 401


def test_keeps_the_newest_and_drops_the_oldest(deliver, settings):
    settings.REFUSED_DELIVERIES_MAX = 3
    for number in range(5):
        refuse(deliver, path=f"/log-circleci-webhook/number-{number}")
    kept = Delivery.objects.newest_first().values_list("path", flat=True)
    assert list(kept) == [f"/log-circleci-webhook/number-{number}" for number in (4, 3, 2)]


def test_strangers_push_out_neither_events_nor_authentic_refusals(deliver, workflow_document, settings):
    settings.REFUSED_DELIVERIES_MAX = 2
    deliver(workflow_document())
    deliver(b"authentic, but malformed")
    for _ in range(5):
        refuse(deliver)
    outcomes = sorted(Delivery.objects.values_list("outcome", flat=True))
    assert outcomes == [Outcome.LOGGED, Outcome.MALFORMED, Outcome.UNVERIFIED, Outcome.UNVERIFIED]


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


def test_limits_what_is_malformed_at_an_unsigned_webhook_like_strangers(deliver, webhook_secrets, settings):
    webhook_secrets |= {"lab": None}
    settings.REFUSED_DELIVERIES_PER_MINUTE = 1
    for _ in range(2):
        assert deliver(b"anybody's body", "/log-circleci-webhook/lab", secret=None).status_code == 400
    assert Delivery.objects.filter(outcome=Outcome.MALFORMED, verified=False).count() == 1


def test_cuts_headers_and_paths_of_any_length(deliver):
    refuse(deliver, path=f"/log-circleci-webhook/{'p' * 3_000}", headers={"user-agent": "u" * 5_000})
    delivery = Delivery.objects.get()
    assert len(delivery.path) == 255
    assert len(delivery.headers["user-agent"]) == 1_000


def test_writes_the_reason_but_nothing_of_the_request_into_the_log(deliver, caplog):
    deliver(b"forged\nline", secret=None, headers={"user-agent": "forged\nline", "circleci-signature": "v1=\nforged"})
    assert "the circleci-signature matches no secret" in caplog.text
    assert "forged" not in caplog.text
