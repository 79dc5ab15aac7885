"""Discord, through the webhook of a channel: one embed per message.

Sources (read 2026-11-29):
    https://docs.discord.com/developers/resources/webhook#execute-webhook (wait, allowed_mentions, 204)
    https://docs.discord.com/developers/resources/message#embed-object-embed-limits
    https://docs.discord.com/developers/topics/rate-limits (Retry-After; a webhook with a 404 must not be used again)
    https://docs.discord.com/developers/reference#message-formatting (mentions, timestamps and emoji in angle brackets)
    https://github.com/discord/discord-api-docs/issues/4722 (milliseconds without a version in the URL)
"""

import re
from typing import Any

from logs.notifications.channels.base import (
    COLORS,
    HTTPS_PATTERN,
    Field,
    Message,
    Transport,
    json_request,
    line,
    some_facts,
    web_links,
)
from logs.notifications.content import Content
from logs.notifications.guard import Request

MAX_EMBED = 6_000  # All texts together; Discord's limit.
MAX_FACTS = 24  # One less than Discord's limit of 25, for the one that counts the others.
# Half of Discord's limits (256, 256 and 1,024) at most, because escaping can double a text.
MAX_HEADLINE, MAX_NAME, MAX_VALUE = 120, 100, 500
MAX_URL = 500
SHORT = 40  # Shorter values are shown side by side.
MARKDOWN = re.compile(r"[\\*_~`|\[\]<>@#]|:(?=//)|^[-+](?=\s)")
PATH = re.compile(r"/api/(?:v[0-9]+/)?webhooks/")


class DiscordTransport(Transport):
    """Posts one embed per message."""

    kind = "discord"
    title = "Discord"
    accepted = (200, 204)
    dead = (401, 404)
    fields = [
        Field(
            name="url",
            label="Webhook URL",
            help_text="In Discord: the channel's settings › Integrations › Webhooks › New Webhook.",
            is_secret=True,
            pattern=HTTPS_PATTERN,
            invalid="Enter the URL of a webhook: https://discord.com/api/webhooks/…",
        )
    ]

    def request(self, message: Message) -> Request:
        """Return the request that posts the message, with as many facts as fit."""
        content = message.content
        count = min(len(content.facts), MAX_FACTS)
        embed = _embed(content, count)
        while _length(embed) > MAX_EMBED and count:
            count -= 1
            embed = _embed(content, count)
        document = {"embeds": [embed], "allowed_mentions": {"parse": []}}
        return json_request(_url(message.settings["url"]), document)


def escaped(text: str, length: int) -> str:
    """Return one line of text without Markdown, mentions and links."""
    return MARKDOWN.sub(r"\\\g<0>", line(text, length))


def _url(url: str) -> str:
    """Return the URL of a version whose Retry-After is in seconds, and that reports a message that was not stored."""
    url = PATH.sub("/api/v10/webhooks/", url, count=1)
    return f"{url}{'&' if '?' in url else '?'}wait=true"


def _embed(content: Content, count: int) -> dict[str, Any]:
    links = [(escaped(title, MAX_NAME), url) for title, url in web_links(content) if len(url) <= MAX_URL]
    return {
        "title": escaped(content.headline, MAX_HEADLINE) or "…",
        "description": " · ".join(f"[{title}](<{url}>)" for title, url in links),
        "color": int(COLORS[content.tone].removeprefix("#"), 16),
        "fields": [
            {
                "name": escaped(name, MAX_NAME) or "…",
                "value": escaped(value, MAX_VALUE) or "…",
                "inline": len(value) < SHORT,
            }
            for name, value in some_facts(content, count)
        ],
    }


def _length(embed: dict[str, Any]) -> int:
    """Return the length of all texts; a character outside the Basic Multilingual Plane may count twice."""
    fields = (field[part] for field in embed["fields"] for part in ("name", "value"))
    return sum(len(text.encode("utf-16-le")) // 2 for text in (embed["title"], embed["description"], *fields))
