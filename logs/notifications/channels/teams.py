"""Microsoft Teams, through the webhook of a workflow: an Adaptive Card in a message.

Teams accepts a message (202) before it shows it, and reports nothing if it does not.

Sources (read 2026-11-29):
    https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/add-incoming-webhook (28 KB)
    https://learn.microsoft.com/microsoftteams/platform/task-modules-and-cards/cards/cards-format (Markdown)
    https://learn.microsoft.com/adaptive-cards/authoring-cards/text-features ({{DATE()}})
    https://argo-cd.readthedocs.io/en/release-3.3/operator-manual/notifications/services/teams-workflows/ (the template)
    https://github.com/microsoft/coe-starter-kit/issues/8684 (WorkflowTriggerIsNotEnabled)
"""

import re
from typing import Any

from logs.notifications.channels.base import (
    HTTPS_PATTERN,
    Dead,
    Field,
    Message,
    Outcome,
    Transport,
    json_request,
    line,
    said,
    some_facts,
    web_links,
)
from logs.notifications.content import Content
from logs.notifications.guard import Request, Response

COLORS = {"good": "Good", "bad": "Attention"}
MAX_CARD_BYTES = 25_000  # Teams allows about 28 KB for the whole message.
MAX_HEADLINE, MAX_NAME, MAX_VALUE = 500, 100, 1_000
# Markdown in the middle of a line, braces ({{DATE()}}), and Markdown at the start of a line (a list).
MARKDOWN = re.compile(r"[\\`*_\[\]<~{]|^[-+#>](?=\s)|(?<=^\d)[.)]|(?<=^\d\d)[.)]")
TURNED_OFF = "WorkflowTriggerIsNotEnabled"  # Power Automate's code for a workflow that is turned off.

# *Get link to channel* copies the URL of a page, which might answer messages with a 200.
TEAMS_PAGE = r"(?i:https://teams\.(?:microsoft\.com|cloud\.microsoft)/)"


class TeamsTransport(Transport):
    """Posts one card per message."""

    kind = "teams"
    title = "Microsoft Teams"
    accepted = (200, 202)
    fields = [
        Field(
            name="url",
            label="Workflow URL",
            help_text="In Teams: the channel's menu › Workflows › Send webhook alerts to a channel.",
            is_secret=True,
            pattern=f"(?!{TEAMS_PAGE}){HTTPS_PATTERN}",
            invalid="Enter the URL of a workflow: https://….api.powerplatform.com/… or https://….logic.azure.com/…",
        )
    ]

    def request(self, message: Message) -> Request:
        """Return the request that posts the message, with as many facts as fit."""
        content, url = message.content, message.settings["url"]
        count = len(content.facts)
        request = json_request(url, _document(content, count))
        while len(request.body) > MAX_CARD_BYTES and count:
            count -= 1
            request = json_request(url, _document(content, count))
        return request

    def outcome(self, response: Response) -> Outcome:
        """Return what a response means."""
        if response.status >= 400 and TURNED_OFF in response.text:
            return Dead(reason=said(response))
        return super().outcome(response)


def escaped(text: str, length: int) -> str:
    """Return one line of text without Markdown; a card does not support HTML."""
    return MARKDOWN.sub(r"\\\g<0>", line(text, length))


def _document(content: Content, count: int) -> dict[str, Any]:
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "fallbackText": escaped(content.subject, MAX_HEADLINE),
        "body": _body(content, count),
        "actions": [{"type": "Action.OpenUrl", "title": title, "url": url} for title, url in web_links(content)],
    }
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [attachment]}


def _body(content: Content, count: int) -> list[dict[str, Any]]:
    headline = {
        "type": "TextBlock",
        "text": escaped(content.headline, MAX_HEADLINE),
        "weight": "Bolder",
        "size": "Medium",
        "color": COLORS[content.tone],
        "wrap": True,
    }
    facts = [
        {"title": escaped(name, MAX_NAME), "value": escaped(value, MAX_VALUE)}
        for name, value in some_facts(content, count)
    ]
    return [headline, {"type": "FactSet", "facts": facts}] if facts else [headline]
