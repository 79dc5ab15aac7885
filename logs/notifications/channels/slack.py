"""Slack, through an incoming webhook.

Sources (read 2026-11-29):
    https://api.slack.com/messaging/webhooks
    https://api.slack.com/changelog/2016-05-17-changes-to-errors-for-incoming-webhooks (403, 404, 410)
    https://routeforms.com/tools/slack-webhook-error-decoder (no_service, no_team, invalid_token)
    https://docs.slack.dev/reference/block-kit/composition-objects/text-object (verbatim, 3,000 characters)
    https://api.slack.com/docs/attachments/ (escaping)
    https://github.com/slackapi/bolt-js/issues/2509 (about 13,200 characters in all blocks)
The limits of a section's fields: https://docs.slack.dev/reference/block-kit/blocks/section-block/
"""

import re
from typing import Any

from logs.notifications.channels.base import (
    COLORS,
    HTTPS_PATTERN,
    Dead,
    Field,
    Later,
    Message,
    Outcome,
    Sent,
    Transport,
    cut,
    json_request,
    line,
    plain,
    said,
    web_links,
)
from logs.notifications.content import Content
from logs.notifications.guard import Request, Response

MAX_FIELDS = 10  # Of a section; Slack's limit.
# Below Slack's limits of each text (3,000 and 2,000), because all blocks together may have about 13,200 characters.
MAX_FACTS, MAX_HEADLINE, MAX_NAME, MAX_VALUE = 20, 500, 75, 300
STATE = "State"  # The fact that is shown in small print.
# What Slack says if the channel no longer exists or accepts nothing.
DEAD = ("no_service", "no_team", "channel_not_found", "channel_is_archived", "action_prohibited", "invalid_token")
PARTIAL_ENTITY = re.compile("&[a-z]*…$")


class SlackTransport(Transport):
    """Posts one attachment with a colour per message."""

    kind = "slack"
    title = "Slack"
    accepted = (200,)
    fields = [
        Field(
            name="url",
            label="Webhook URL",
            help_text="At api.slack.com/apps: your app › Incoming Webhooks › Add New Webhook to Workspace.",
            is_secret=True,
            pattern=HTTPS_PATTERN,
            invalid="Enter the URL of an incoming webhook: https://hooks.slack.com/services/…",
        )
    ]

    def request(self, message: Message) -> Request:
        """Return the request that posts the message."""
        content = message.content
        document = {
            "text": _fallback(content),
            "parse": "none",  # Else Slack makes links of URLs in the text; blocks are verbatim instead.
            "unfurl_links": False,
            "unfurl_media": False,
            "attachments": [{"color": COLORS[content.tone], "blocks": _blocks(content)}],
        }
        return json_request(message.settings["url"], document)

    def outcome(self, response: Response) -> Outcome:
        """Return what a response means; Slack explains errors in a word."""
        word = response.text.strip()
        if word in DEAD:
            return Dead(reason=said(response))
        outcome = super().outcome(response)
        # A login page or a proxy also answers 200, to every message.
        return Later(reason=said(response)) if isinstance(outcome, Sent) and word != "ok" else outcome


def escaped(text: str, length: int) -> str:
    """Return one line of text without anything that Slack would interpret: mentions, links, control characters."""
    text = line(text, length).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return PARTIAL_ENTITY.sub("…", cut(text, length))


def _fallback(content: Content) -> str:
    """Return the text of notifications and of clients without blocks."""
    number = content.data.get("pipeline_number")
    return escaped(content.subject, MAX_HEADLINE) + (f" (#{number})" if isinstance(number, int) else "")


def _blocks(content: Content) -> list[dict[str, Any]]:
    facts = [(name, value) for name, value in content.facts if name != STATE and plain(value).strip()]
    blocks: list[dict[str, Any]] = [
        {"type": "section", "text": _text(f"*{escaped(content.headline, MAX_HEADLINE) or '…'}*")}
    ]
    fields = [_text(f"*{escaped(name, MAX_NAME)}*\n{escaped(value, MAX_VALUE)}") for name, value in facts[:MAX_FACTS]]
    blocks += [
        {"type": "section", "fields": fields[start : start + MAX_FIELDS]} for start in range(0, len(fields), MAX_FIELDS)
    ]
    notes = [escaped(value, MAX_VALUE) for name, value in content.facts if name == STATE][:1]
    if len(facts) > MAX_FACTS:
        notes.append(f"And {len(facts) - MAX_FACTS} more")
    if any(notes):
        blocks.append({"type": "context", "elements": [_text(note) for note in notes if note]})
    buttons = [
        {"type": "button", "text": {"type": "plain_text", "text": title}, "url": url}
        for title, url in web_links(content)
    ]
    return [*blocks, {"type": "actions", "elements": buttons}] if buttons else blocks


def _text(text: str) -> dict[str, Any]:
    """Return a text in which Slack looks for neither URLs nor names."""
    return {"type": "mrkdwn", "text": text, "verbatim": True}
