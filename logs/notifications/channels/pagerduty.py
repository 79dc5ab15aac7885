"""PagerDuty, through its Events API v2: a breakage or an alarm triggers an incident, and its end resolves it.

Sources (read 2026-11-29):
    https://github.com/PagerDuty/developer-docs/blob/main/docs/events-API-v2/02-Trigger-Events.md
    https://github.com/PagerDuty/developer-docs/blob/main/docs/events-API-v2/01-Overview.md (responses, limits)
    https://v2.developer.pagerduty.com/docs/send-an-event-events-api-v2 (400 for a wrong routing key)
The EU service region: https://support.pagerduty.com/docs/service-regions
"""

from typing import Any

from logs.models.notifications import LIFETIME, NotificationKind
from logs.models.rules import AlarmKind
from logs.notifications.channels.base import (
    Dead,
    Field,
    Message,
    Outcome,
    Transport,
    json_request,
    line,
    run_and_page,
    said,
    some_facts,
    utc,
)
from logs.notifications.content import Content
from logs.notifications.guard import Request, Response

BASE_URL, EU_BASE_URL = "https://events.pagerduty.com", "https://events.eu.pagerduty.com"
MAX_SUMMARY = 1_024  # PagerDuty's limit. An event is at most 512 kB; with the following it is below 300 kB.
MAX_FACTS, MAX_NAME, MAX_VALUE = 50, 255, 1_000
CLIENT = "webhooklog"
TRIGGERS = (NotificationKind.BROKE, NotificationKind.ALARM)
EARLY = (AlarmKind.TOKEN, AlarmKind.SECRET)  # Alarms about what will fail in some days.


class PagerDutyTransport(Transport):
    """Triggers and resolves one incident per workflow and branch, and per alarm.

    A test resolves an incident that does not exist: PagerDuty checks the key, drops the event and calls no one. A
    change event would be visible, but PagerDuty rejects those with the key of a ruleset.
    """

    kind = "pagerduty"
    title = "PagerDuty"
    is_combined = False
    opens_incidents = True
    is_reminded = False
    lifetime = LIFETIME
    accepted = (202,)
    fields = [
        Field(
            name="routing_key",
            label="Integration key",
            help_text="In PagerDuty: service › Integrations › Events API V2. A test checks the key and opens nothing.",
            is_secret=True,
            pattern="[A-Za-z0-9]{32}",
            invalid="Enter the 32 letters and digits of an integration key.",
        ),
        Field(
            name="base_url",
            label="Service region",
            # With any other URL, a test would send the stored key to a server of the administrator's choice.
            choices=[(BASE_URL, "US"), (EU_BASE_URL, "EU")],
            default=BASE_URL,
        ),
    ]

    def request(self, message: Message) -> Request:
        """Return the request that triggers or resolves the incident."""
        base_url = message.settings.get("base_url") or BASE_URL
        is_triggered = message.content.kind in TRIGGERS
        event = {
            "routing_key": message.settings["routing_key"],
            "event_action": "trigger" if is_triggered else "resolve",
            "dedup_key": message.thread or f"notification-{message.id}",
        }
        return json_request(f"{base_url}/v2/enqueue", event | _alert(message.content) if is_triggered else event)

    def outcome(self, response: Response) -> Outcome:
        """Return what a response means."""
        if response.status == 400 and "routing key" in response.text.lower().replace("_", " "):
            return Dead(reason=said(response))
        return super().outcome(response)


def _alert(content: Content) -> dict[str, Any]:
    """Return the members of an event that describe an alert."""
    run, page = run_and_page(content)
    is_alarm = content.kind == NotificationKind.ALARM
    fields = {"component": content.workflow, "group": content.branch, "class": "log" if is_alarm else "workflow"}
    payload = {
        "summary": line(content.subject, MAX_SUMMARY),
        "severity": "warning" if is_alarm and content.data.get("alarm") in EARLY else "error",
        "source": line(content.project, MAX_NAME) or CLIENT,
        **{name: line(value, MAX_NAME) for name, value in fields.items() if value},
        "timestamp": utc(content),
        "custom_details": _details(content),
    }
    client = {"client": CLIENT, "client_url": page} if page else {"client": CLIENT}
    links = [{"href": run, "text": "CircleCI"}] if run else []
    return {**client, "payload": payload, "links": links}


def _details(content: Content) -> dict[str, str]:
    facts = some_facts(content, MAX_FACTS)
    return {line(name, MAX_NAME): line(value, MAX_VALUE) for name, value in facts if name != "Project"}
