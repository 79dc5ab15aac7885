"""Try a secret on a refused delivery: who may, what it answers, and that the secret leaves no trace."""

import re
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest
import time_machine
from django.contrib.admin.models import LogEntry
from django.contrib.sessions.models import Session
from django.test import override_settings
from django.urls import reverse

from logs.admin.deliveries import try_secret
from logs.circleci.signature import sign
from logs.models import Delivery

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 5, 4, 14, 30, tzinfo=UTC)
SECRET = "Zq8-secret_of_another-project"
BODY = b'{"type": "workflow-completed"}'
OPERATOR = ["view_delivery", "try_secret"]


@pytest.fixture(autouse=True)
def clock():
    """The time, which stands still."""
    with time_machine.travel(NOW, tick=False) as clock:
        yield clock


@pytest.fixture
def operator(staff_with):
    """A client whose user may try secrets."""
    return staff_with(*OPERATOR)


def refuse(secret=SECRET, **values):
    defaults = {"outcome": "unverified", "verified": False, "plausible": True, "body": BODY, "body_length": len(BODY)}
    headers = {"circleci-signature": sign(BODY, secret)} if secret else {}
    moments = {"received_at": NOW, "judged_at": NOW}
    return Delivery.objects.create(**defaults | {"headers": headers} | moments | values)


def url_of(delivery):
    return reverse("admin:logs_delivery_try_secret", args=[delivery.pk])


def page_of(delivery):
    return reverse("admin:logs_delivery_change", args=[delivery.pk])


def attempt(client, delivery, secret=SECRET):
    """Try a secret; return the message that follows."""
    answer = client.post(url_of(delivery), {"secret": secret}, follow=True)
    assert answer.redirect_chain == [(url_of(delivery), 302)]
    html = answer.content.decode()
    assert not secret.strip() or secret.strip() not in html
    return unescape(re.search(r'<ul class="messagelist">\s*<li[^>]*>(.*?)</li>', html, re.DOTALL)[1])


def audit_log():
    return list(LogEntry.objects.order_by("pk").values_list("user__username", "change_message"))


@pytest.mark.parametrize(
    ("permissions", "status"),
    [
        ([], 403),
        (["view_delivery"], 403),
        (["try_secret"], 403),
        (["view_delivery", "view_delivery_body", "replay_delivery"], 403),
        (OPERATOR, 200),
    ],
)
def test_trying_needs_permission(staff_with, permissions, status):
    delivery, client = refuse(), staff_with(*permissions)
    assert client.get(url_of(delivery)).status_code == status
    assert client.post(url_of(delivery), {"secret": SECRET}).status_code == (302 if status == 200 else 403)
    assert len(audit_log()) == (status == 200)
    assert (url_of(delivery) in client.get(page_of(delivery)).content.decode()) is (status == 200)


@pytest.mark.parametrize(
    ("values", "is_offered"),
    [
        ({}, True),
        ({"secret": None}, False),
        ({"body": BODY[:5]}, False),
        ({"outcome": "malformed"}, False),
        ({"outcome": "logged"}, False),
        ({"outcome": "rejected", "body": b""}, False),
    ],
)
def test_is_offered_where_it_can_answer(operator, values, is_offered):
    delivery = refuse(**values)
    assert (url_of(delivery) in operator.get(page_of(delivery)).content.decode()) is is_offered
    answer = operator.post(url_of(delivery), {"secret": SECRET})
    assert answer.url == (url_of(delivery) if is_offered else page_of(delivery))
    assert len(audit_log()) == is_offered


def test_a_delivery_that_is_gone_is_no_error(operator):
    assert operator.post(reverse("admin:logs_delivery_try_secret", args=[99]), {"secret": SECRET}).status_code == 302


@pytest.mark.parametrize(
    ("signed_with", "tried", "expected", "is_match"),
    [
        (SECRET, SECRET, "Match: this secret signed the delivery.", True),
        (SECRET, f"  {SECRET}\t", "Match, without the surrounding white space.", True),
        (f" {SECRET} ", f" {SECRET} ", "Match: this secret signed the delivery.", True),
        (f"{SECRET}\n", SECRET, "Match with a line break at the end", True),
        (f"{SECRET}\r\n", SECRET, "Match with a line break at the end", True),
        (SECRET, f"{SECRET}x", "No match, even without surrounding white space", False),
        (SECRET, "\u00e4\u2028", "No match", False),
    ],
)
def test_answers_and_records_the_result_only(operator, signed_with, tried, expected, is_match):
    message = attempt(operator, refuse(signed_with), tried)
    assert expected in message
    if not is_match:
        assert "another project's secret, or a proxy changed the body" in message
    result = "match" if is_match else "no match"
    assert audit_log() == [("reader", f"Tried a secret: {result}.")]


@pytest.mark.parametrize("header", ["nonsense", "v2=00", "v1=", "v1=\u00e4"])
def test_a_signature_that_cannot_be_read_matches_nothing(operator, header):
    assert "No match" in attempt(operator, refuse(headers={"circleci-signature": header}))


@pytest.mark.parametrize("secret", ["", "x" * 1_001, "a\0b"])
def test_rejects_what_cannot_be_a_secret(operator, secret):
    answer = operator.post(url_of(refuse()), {"secret": secret}, follow=True)
    assert "Enter a secret of at most 1,000 characters." in answer.content.decode()
    assert audit_log() == []


def test_the_field_is_empty_and_is_not_filled_in(operator):
    html = operator.get(url_of(refuse()) + f"?secret={SECRET}").content.decode()
    field = re.search(r"<input[^>]*name=\"secret\"[^>]*>", html)[0]
    assert "value=" not in field
    assert 'autocomplete="off"' in field


def test_limits_the_attempts_of_each_user(operator, staff_with, clock):
    delivery = refuse()
    for _ in range(5):
        assert "No match" in attempt(operator, delivery, "guess")
    assert "at most 5 attempts a minute" in attempt(operator, delivery)
    assert len(audit_log()) == 5
    assert "Match" in attempt(staff_with(*OPERATOR, username="another"), delivery)
    clock.shift(timedelta(seconds=60))
    assert "Match" in attempt(operator, delivery)


def test_the_secret_is_stored_nowhere(operator, caplog):
    delivery = refuse()
    attempt(operator, delivery)
    stored = [*LogEntry.objects.values_list("change_message", "object_repr"), *delivery.headers.values()]
    stored += [session.get_decoded() for session in Session.objects.all()]
    assert SECRET not in str(stored) + caplog.text
    assert SECRET not in operator.get(reverse("admin:logs_delivery_history", args=[delivery.pk])).content.decode()


@override_settings(DEBUG=True)
@pytest.mark.parametrize("broken", ["verify", "_has_tried_too_often", "_matching_variant"])
def test_the_debug_page_does_not_show_the_secret(operator, monkeypatch, broken):
    def fail(*args, **kwargs):
        raise RuntimeError("broken")

    monkeypatch.setattr(try_secret, broken, fail)
    operator.raise_request_exception = False
    answer = operator.post(url_of(refuse()), {"secret": f"  {SECRET}"})
    assert answer.status_code == 500
    page = answer.content.decode()
    assert "RuntimeError" in page
    assert SECRET not in page


def test_asks_the_browser_for_a_csrf_token(operator):
    operator.handler.enforce_csrf_checks = True
    assert operator.post(url_of(refuse()), {"secret": SECRET}).status_code == 403
    assert audit_log() == []
