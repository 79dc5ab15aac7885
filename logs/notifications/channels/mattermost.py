"""Mattermost, through an incoming webhook: one attachment per message.

Sources (read 2026-11-29):
    https://developers.mattermost.com/integrate/webhooks/incoming/ (`ok`, 16,383 characters, <!channel>)
    https://developers.mattermost.com/integrate/reference/message-attachments/
    https://github.com/mattermost/mattermost/blob/master/server/channels/app/webhook.go (errors, 760,000 characters)
    https://github.com/mattermost/mattermost/blob/master/server/channels/app/notification.go (mentions)
    https://github.com/mattermost/marked/blob/master/lib/marked.js (Markdown; a backslash escapes neither @ nor :)
"""

from typing import Any

from logs.notifications.channels.base import (
    COLORS,
    PROSE,
    Dead,
    Field,
    Later,
    Message,
    Outcome,
    Sent,
    Transport,
    json_request,
    line,
    said,
    some_facts,
    web_links,
)
from logs.notifications.content import Content
from logs.notifications.guard import Request, Response

MAX_FACTS, MAX_HEADLINE, MAX_NAME, MAX_VALUE = 20, 500, 75, 300  # Far below Mattermost's limits.
UNKNOWN = "web.incoming_webhook.invalid.app_error"  # Mattermost's id of the error (400) for a webhook that was removed.


class MattermostTransport(Transport):
    """Posts one attachment with a colour per message."""

    kind = "mattermost"
    title = "Mattermost"
    accepted = (200,)
    dead = (404,)
    fields = [
        Field(
            name="url",
            label="Webhook URL",
            help_text="In Mattermost: the product menu › Integrations › Incoming Webhooks › Add Incoming Webhook.",
            is_secret=True,
            pattern=r"https?://[^\s/?#@]+/[^\s#]+",
            invalid="Enter the URL of an incoming webhook: https://mattermost.example.com/hooks/…",
        )
    ]

    def request(self, message: Message) -> Request:
        """Return the request that posts the message."""
        return json_request(message.settings["url"], {"attachments": [_attachment(message.content)]})

    def outcome(self, response: Response) -> Outcome:
        """Return what a response means."""
        if response.status == 400 and UNKNOWN in response.text:
            return Dead(reason=said(response))
        outcome = super().outcome(response)
        # A login page or a proxy also answers 200, to every message.
        is_sent = response.text.strip() == "ok"
        return Later(reason=said(response)) if isinstance(outcome, Sent) and not is_sent else outcome


def inert(text: str, length: int, mark: str = "") -> str:
    """Return one line of text in which Mattermost finds no mention, link or markup: prose, or else code.

    The mark goes around prose only: code within ** ends at the first ** in the code.
    """
    text = line(text, length) or "…"
    if PROSE.fullmatch(text):
        return f"{mark}{text}{mark}"
    text = text.replace("`", "'")
    return f"`{text}`"


def _attachment(content: Content) -> dict[str, Any]:
    links = " · ".join(f"[{_title(title)}]({_escaped(url)})" for title, url in web_links(content))
    return {
        "fallback": line(content.subject, MAX_HEADLINE),
        "color": COLORS[content.tone],
        "text": f"{inert(content.headline, MAX_HEADLINE, '**')}\n{links}".strip(),
        "fields": [
            {"short": True, "title": inert(name, MAX_NAME), "value": inert(value, MAX_VALUE)}
            for name, value in some_facts(content, MAX_FACTS)
        ],
    }


def _title(title: str) -> str:
    """Return a link's title; code cannot be one, because the title ends at the first ] in the code."""
    return title if PROSE.fullmatch(title) else "Open"


def _escaped(url: str) -> str:
    """Return a URL without parentheses, at which the link would end."""
    return url.replace("(", "%28").replace(")", "%29")
