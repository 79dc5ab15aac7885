"""A webhook to the operator's own program, signed as Standard Webhooks describes.

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md (read 2026-11-29)
"""

import hashlib
import hmac
from base64 import b64decode, b64encode
from dataclasses import replace
from typing import Any

from django.utils import timezone

from logs.models.notifications import LIFETIME, NotificationKind
from logs.notifications.channels.base import (
    Field,
    Message,
    Transport,
    cut,
    json_request,
    plain,
    run_and_page,
    utc,
)
from logs.notifications.content import Content
from logs.notifications.guard import Request

TYPES = {
    NotificationKind.BROKE.value: "workflow.broke",
    NotificationKind.FIXED.value: "workflow.fixed",
    NotificationKind.REMINDER.value: "workflow.still_broken",
    NotificationKind.RUN.value: "workflow.completed",
    NotificationKind.JOB.value: "job.completed",
    NotificationKind.ALARM.value: "alarm.opened",
    NotificationKind.ALARM_OVER.value: "alarm.closed",
    NotificationKind.TEST.value: "channel.test",
}
MAX_BODY_BYTES = 20_000
TEXT_LENGTHS = (1_000, 250, 60, 15)  # The longest with which the body is short enough.
PREFIX = "whsec_"
# Base64 of 24 to 64 bytes.
SECRET = f"{PREFIX}(?:[A-Za-z0-9+/]{{4}}){{8,21}}(?:[A-Za-z0-9+/]{{2}}==|[A-Za-z0-9+/]{{3}}=)?"


class WebhookTransport(Transport):
    """Posts the columns of the change, run, job or alarm as JSON."""

    kind = "webhook"
    title = "Signed webhook"
    is_combined = False
    lifetime = LIFETIME
    fields = [
        Field(
            name="url",
            label="URL",
            help_text="Receives a POST request per message, signed as Standard Webhooks describes.",
            is_secret=True,
            pattern=r"https?://[^\s/?#@]+(?:/[^\s#]*)?",
            invalid="Enter a URL: https://example.com/hooks/webhooklog",
        ),
        Field(
            name="secret",
            label="Signing secret",
            help_text=(
                "whsec_ and 24 to 64 random bytes in Base64. During a change, enter the new and the old one, separated "
                "by a space."
            ),
            is_secret=True,
            pattern=f"{SECRET}(?: {SECRET})?",
            invalid="Enter whsec_ and 24 to 64 bytes in Base64, or two of these separated by a space.",
        ),
    ]

    def request(self, message: Message) -> Request:
        """Return the request with the data; its timestamp and signatures are those of this attempt."""
        request = json_request(message.settings["url"], _document(message.content))
        name, seconds = f"msg_{message.id}", str(int(timezone.now().timestamp()))
        signed = f"{name}.{seconds}.".encode() + request.body
        signatures = [_signature(secret, signed) for secret in message.settings["secret"].split()]
        headers = {"webhook-id": name, "webhook-timestamp": seconds, "webhook-signature": " ".join(signatures)}
        return replace(request, headers={**request.headers, **headers})


def _signature(secret: str, signed: bytes) -> str:
    digest = hmac.new(b64decode(secret.removeprefix(PREFIX)), signed, hashlib.sha256).digest()
    return f"v1,{b64encode(digest).decode()}"


def _document(content: Content) -> dict[str, Any]:
    """Return the document with texts of a length with which it is short enough."""
    run_url, url = run_and_page(content)
    links = {"run_url": run_url, "url": url}
    document: dict[str, Any] = {}
    for length in TEXT_LENGTHS:
        data = _shortened(content.data, length) | links
        document = {"type": TYPES[content.kind], "timestamp": utc(content), "data": data}
        if len(json_request("", document).body) < MAX_BODY_BYTES:
            break
    return document


def _shortened(value: Any, length: int) -> Any:
    """Return a value with short texts, and with names in an order of its own: the database does not keep theirs."""
    if isinstance(value, dict):
        return {name: _shortened(value[name], length) for name in sorted(value)}
    if isinstance(value, list | tuple):
        return [_shortened(item, length) for item in value]
    return cut(plain(value), length) if isinstance(value, str) else value
