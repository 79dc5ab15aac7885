"""Signed webhooks, read by the reference library of Standard Webhooks.

Limits (https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md, read 2026-11-29): a
body is smaller than 20 kB; a secret has 24 to 64 bytes; an id and the body are the same in each attempt, while the
timestamp is that of the attempt.
"""

import json
import re
from base64 import b64encode
from datetime import timedelta

import pytest
from django.utils import timezone
from standardwebhooks import Webhook, WebhookVerificationError

from logs.models.notifications import LIFETIME
from logs.notifications.channels.base import Dead
from tests.unit.notifications.channels.contract import (
    PAGE_URL,
    RUN_URL,
    HttpContract,
    alarm,
    change,
    make_content,
    make_response,
)


def make_secret(length=32, letter=b"s"):
    return f"whsec_{b64encode(letter * length).decode()}"


SECRET, NEXT_SECRET = make_secret(), make_secret(letter=b"n")


class TestWebhook(HttpContract):
    kind = "webhook"
    settings = {"url": "https://example.org/hooks/webhooklog-0a1b2c3d", "secret": SECRET}
    accepted = {*range(200, 300)}
    dead = {410}

    def urls(self, wire):
        data = json.loads(wire)["data"]
        return [data[name] for name in ("run_url", "url") if data[name]]

    def check_limits(self, wire):
        assert len(wire) < 20_000

    def check_inert(self, wire):
        # A program reads it: it only has to be the JSON of its parts.
        document = json.loads(wire)
        assert list(document) == ["type", "timestamp", "data"]
        assert {"run_url", "url"} <= set(document["data"])

    def request_of(self, secret=SECRET, **content):
        message = self.make_message(make_content(**content), settings=self.settings | {"secret": secret})
        return self.transport.request(message)

    def test_has_the_form_of_the_design(self):
        document = json.loads(self.request_of(kind="fixed").body)
        assert document == {
            "type": "workflow.fixed",
            "timestamp": "2026-11-27T16:40:00Z",
            "data": change(id=740, failures=3, broken_for_seconds=8040) | {"run_url": RUN_URL, "url": PAGE_URL},
        }

    def test_an_alarm_has_its_kind_its_times_and_its_detail(self):
        request = self.request_of(kind="alarm_over", links=[("Open in webhooklog", PAGE_URL)])
        closed = alarm(closed_at="2026-11-27T18:54:00Z")
        assert Webhook(SECRET).verify(request.body, dict(request.headers)) == {
            "type": "alarm.closed",
            "timestamp": "2026-11-27T16:40:00Z",
            "data": closed | {"run_url": "", "url": PAGE_URL},
        }

    @pytest.mark.parametrize(
        ("kind", "name"),
        [
            ("broke", "workflow.broke"),
            ("fixed", "workflow.fixed"),
            ("reminder", "workflow.still_broken"),
            ("run", "workflow.completed"),
            ("job", "job.completed"),
            ("alarm", "alarm.opened"),
            ("alarm_over", "alarm.closed"),
            ("test", "channel.test"),
        ],
    )
    def test_each_kind_has_a_type(self, kind, name):
        assert json.loads(self.request_of(kind=kind).body)["type"] == name

    def test_the_reference_library_accepts_the_signature(self):
        request = self.request_of()
        assert request.headers["webhook-id"] == "msg_1042"
        assert Webhook(SECRET).verify(request.body, dict(request.headers)) == json.loads(request.body)
        with pytest.raises(WebhookVerificationError):
            Webhook(SECRET).verify(request.body + b" ", dict(request.headers))
        with pytest.raises(WebhookVerificationError):
            Webhook(NEXT_SECRET).verify(request.body, dict(request.headers))

    def test_both_secrets_sign_while_they_rotate(self):
        request = self.request_of(secret=f"{NEXT_SECRET} {SECRET}")
        for secret in (SECRET, NEXT_SECRET):
            assert Webhook(secret).verify(request.body, dict(request.headers))

    def test_a_retry_has_the_same_id_and_the_time_of_its_attempt(self, monkeypatch):
        first = self.request_of()
        later = timezone.now() + timedelta(minutes=4)
        monkeypatch.setattr("django.utils.timezone.now", lambda: later)
        second = self.request_of()
        assert second.body == first.body
        assert second.headers["webhook-id"] == first.headers["webhook-id"]
        assert int(second.headers["webhook-timestamp"]) == int(later.timestamp())
        assert Webhook(SECRET).verify(second.body, dict(second.headers))
        assert second.headers["webhook-signature"] != first.headers["webhook-signature"]

    def test_long_texts_are_cut_and_numbers_are_not(self):
        data = change(subject="s" * 10_000, branch="b" * 900)
        read = json.loads(self.request_of(data=data).body)["data"]
        assert read["subject"] == "s" * 999 + "…"
        assert read["branch"] == "b" * 900
        assert read["pipeline_number"] == 4711

    @pytest.mark.parametrize("length", range(24, 65))
    def test_the_field_accepts_secrets_of_24_to_64_bytes(self, length):
        pattern = self.transport.fields[1].pattern
        assert re.fullmatch(pattern, make_secret(length))
        assert re.fullmatch(pattern, f"{make_secret(length)} {SECRET}")

    @pytest.mark.parametrize(
        "secret", ["", "whsec_", make_secret(23), make_secret(67), SECRET.removeprefix("whsec_"), f"{SECRET}, {SECRET}"]
    )
    def test_the_field_rejects_other_secrets(self, secret):
        assert not re.fullmatch(self.transport.fields[1].pattern, secret)

    def test_a_receiver_that_is_gone_is_dead(self):
        assert self.deliver(make_response(410, "gone"))[0] == Dead(reason="410 gone")

    def test_may_be_combined_and_is_worth_sending_for_a_day(self):
        assert not self.transport.is_combined
        assert self.transport.lifetime == LIFETIME
