"""Events for PagerDuty.

Limits (https://developer.pagerduty.com/docs/events-api-v2/trigger-events/ and …/overview/, read 2026-11-29): a summary
has at most 1,024 characters, a deduplication key 255, a routing key 32, and an event 512 KB.
"""

import json
from datetime import datetime

import pytest

from logs.notifications.channels.base import Dead, Refused, Sent
from tests.unit.notifications.channels.contract import (
    PAGE_URL,
    RUN_URL,
    THREAD,
    HttpContract,
    alarm,
    make_content,
    make_response,
)

KEY = "0123456789abcdef0123456789ABCDEF"


class TestPagerDuty(HttpContract):
    kind = "pagerduty"
    settings = {"routing_key": KEY}
    accepted = {202}
    dead = {410}

    def urls(self, wire):
        event = json.loads(wire)
        return [link["href"] for link in event.get("links", [])] + [event[n] for n in ("client_url",) if n in event]

    def check_limits(self, wire):
        event = json.loads(wire)
        assert len(wire) < 512_000
        assert event["routing_key"] == KEY
        assert 0 < len(event["dedup_key"]) <= 255
        if event["event_action"] == "resolve":
            assert set(event) == {"routing_key", "event_action", "dedup_key"}
            return
        payload = event["payload"]
        assert 0 < len(payload["summary"]) <= 1_024
        assert payload["source"]
        assert datetime.fromisoformat(payload["timestamp"])
        assert event["event_action"] == "trigger"
        assert payload["severity"] in ("error", "warning")

    def check_inert(self, wire):
        assert not [text for text in self.texts(wire) if "\n" in text]

    def request_of(self, kind, **settings):
        message = self.make_message(make_content(kind), settings=self.settings | settings)
        return self.transport.request(message)

    def test_a_breakage_triggers_an_incident(self):
        request = self.request_of("broke")
        assert request.url == "https://events.pagerduty.com/v2/enqueue"
        assert json.loads(request.body) == {
            "routing_key": KEY,
            "event_action": "trigger",
            "dedup_key": THREAD,
            "client": "webhooklog",
            "client_url": PAGE_URL,
            "payload": {
                "summary": "acme/orchard: build broke on main",
                "severity": "error",
                "source": "acme/orchard",
                "component": "build",
                "group": "main",
                "class": "workflow",
                "timestamp": "2026-11-27T16:40:00Z",
                "custom_details": {
                    "Failed jobs": "lint, test",
                    "First failing commit": "1a2b3c4 Prune the apple trees <3",
                    "Author": "Ada",
                    "State": "Failing since 2026-11-27 16:40 UTC",
                },
            },
            "links": [{"href": RUN_URL, "text": "CircleCI"}],
        }

    def test_a_fix_resolves_the_incident_of_its_thread(self):
        request = self.request_of("fixed")
        assert request.url == "https://events.pagerduty.com/v2/enqueue"
        assert json.loads(request.body) == {"routing_key": KEY, "event_action": "resolve", "dedup_key": THREAD}

    def test_an_alarm_triggers_an_incident_and_its_end_resolves_it(self):
        event = json.loads(self.request_of("alarm").body)
        assert (event["event_action"], event["dedup_key"]) == ("trigger", THREAD)
        assert event["payload"] == {
            "summary": "acme/garden has been silent since Wed 2026-11-25 16:53 UTC",
            "severity": "error",
            "source": "webhooklog",
            "class": "log",
            "timestamp": "2026-11-27T16:40:00Z",
            "custom_details": {
                "Projects": "github/acme/garden",
                "What to do": "Check that the webhook still exists.",
            },
        }
        assert json.loads(self.request_of("alarm_over").body) == {
            "routing_key": KEY,
            "event_action": "resolve",
            "dedup_key": THREAD,
        }

    @pytest.mark.parametrize(
        ("kind", "severity"),
        [
            ("silence", "error"),
            ("refusals", "error"),
            ("channel", "error"),
            ("watch", "error"),
            ("token", "warning"),
            ("secret", "warning"),
        ],
    )
    def test_an_alarm_about_what_fails_in_some_days_is_a_warning(self, kind, severity):
        wire = self.wire(self.make_message(make_content("alarm", data=alarm(alarm=kind))))
        assert json.loads(wire)["payload"]["severity"] == severity

    def test_a_test_opens_nothing(self):
        event = json.loads(self.request_of("test").body)
        assert event == {"routing_key": KEY, "event_action": "resolve", "dedup_key": THREAD}

    def test_a_message_without_a_thread_has_a_key_of_its_own(self):
        message = self.make_message(make_content("digest"), thread="")
        assert json.loads(self.wire(message))["dedup_key"] == "notification-1042"

    def test_is_never_combined(self):
        assert not self.transport.is_combined

    @pytest.mark.parametrize("base_url", ["https://events.pagerduty.com", "https://events.eu.pagerduty.com"])
    def test_the_region_is_one_of_two(self, base_url):
        assert self.request_of("broke", base_url=base_url).url == f"{base_url}/v2/enqueue"
        [field] = [field for field in self.transport.fields if field.name == "base_url"]
        assert base_url in dict(field.choices)
        assert len(field.choices) == 2

    @pytest.mark.parametrize(
        "text", ["Invalid routing key", "Length of 'routing_key' is incorrect (should be 32 characters)"]
    )
    def test_a_wrong_key_is_dead(self, text):
        body = json.dumps({"status": "invalid event", "message": "Event object is invalid", "errors": [text]})
        assert isinstance(self.deliver(make_response(400, body))[0], Dead)

    def test_another_invalid_event_is_refused(self):
        body = '{"status":"invalid event","errors":["\'payload.summary\' is missing or blank"]}'
        assert isinstance(self.deliver(make_response(400, body))[0], Refused)
        assert self.deliver(make_response(202, '{"status":"success"}'))[0] == Sent()
