"""Telegram, through a bot: one message in HTML.

Sources (read 2026-11-29):
    https://core.telegram.org/bots/api#making-requests (`ok`, `description`, `parameters`)
    https://core.telegram.org/bots/api#sendmessage (4,096 characters after entities are parsed)
    https://core.telegram.org/bots/api#formatting-options (HTML; code contains no other entities, so no links)
    https://core.telegram.org/bots/api#responseparameters (`retry_after`, `migrate_to_chat_id`)
    https://core.telegram.org/bots/api#using-a-local-bot-api-server
    https://docs.python-telegram-bot.org/en/v13.2/telegram.constants.html (100 entities)
    https://github.com/TelegramBotAPI/errors, https://github.com/vrumger/telegram-errors (descriptions of errors)
    https://github.com/eternnoir/pyTelegramBotAPI/issues/2068 (rights that were missing for some hours only)
"""

import json
import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from html import escape
from typing import Any

from logs.notifications.channels.base import (
    MAX_PAUSE,
    PROSE,
    Dead,
    Field,
    Later,
    Message,
    Outcome,
    Refused,
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

BASE_URL = "https://api.telegram.org"
MAX_TEXT = 4_096  # Telegram's limit, without the tags.
MAX_FACTS = 40  # Of two entities each. Telegram ignores those after the hundredth, and links what they protect.
MAX_HEADLINE, MAX_NAME, MAX_VALUE = 300, 75, 300
MARKS = {"good": "✅", "bad": "🔴"}
TAG = re.compile("<[^>]*>")
# Parts of the descriptions of errors (400) that are about the chat, and would reject all that waits.
GONE = ("chat not found", "upgraded to a supergroup")
NO_RIGHTS = ("not enough rights", "have no rights", "need administrator rights")


class TelegramTransport(Transport):
    """Sends one message to a chat."""

    kind = "telegram"
    title = "Telegram"
    accepted = (200,)
    dead = (401, 403)
    fields = [
        Field(
            name="token",
            label="Bot token",
            help_text="From @BotFather in Telegram: /newbot.",
            is_secret=True,
            pattern="[0-9]{5,20}:[A-Za-z0-9_-]{30,64}",
            invalid="Enter the token of a bot: 123456789:AAE…",
        ),
        Field(
            name="chat_id",
            label="Chat ID",
            help_text="A number, negative for groups and channels, or the @name of a public channel.",
            pattern="-?[0-9]{1,20}|@[A-Za-z][A-Za-z0-9_]{3,31}",
            invalid="Enter a chat's ID (-1001234567890) or a public channel's name (@acme_builds).",
        ),
        Field(
            name="base_url",
            label="Bot API server",
            help_text="Change it only if you run your own Bot API server.",
            pattern=r"https?://[^\s/?#@]+",
            invalid="Enter a URL without a path: https://api.telegram.org",
            default=BASE_URL,
            is_server=True,
        ),
    ]

    def request(self, message: Message) -> Request:
        """Return the request that sends the message, with as many facts as fit."""
        settings, content = message.settings, message.content
        count = min(len(content.facts), MAX_FACTS)
        text = _text(content, count)
        while _length(text) > MAX_TEXT and count:
            count -= 1
            text = _text(content, count)
        document = {
            "chat_id": settings["chat_id"],
            "text": text,
            "parse_mode": "HTML",
            "link_preview_options": {"is_disabled": True},
        }
        base_url = settings.get("base_url") or BASE_URL
        return json_request(f"{base_url}/bot{settings['token']}/sendMessage", document)

    def outcome(self, response: Response) -> Outcome:
        """Return what a response means; Telegram explains it in JSON."""
        outcome, answer = super().outcome(response), _object(response.text)
        if isinstance(outcome, Sent) and answer.get("ok") is not True:
            return Later(reason=said(response))
        if isinstance(outcome, Refused) and _contains(answer, GONE + NO_RIGHTS):
            return Dead(reason=outcome.reason, is_certain=_contains(answer, GONE))
        if isinstance(outcome, Later) and outcome.after is None:
            return replace(outcome, after=_retry_after(answer))
        return outcome


def inert(text: str, length: int, tag: str = "") -> str:
    """Return one line of text in which Telegram finds no mention, link or command: prose, or else code."""
    text = line(text, length) or "…"
    if not PROSE.fullmatch(text):
        tag = "code"
    return f"<{tag}>{escape(text)}</{tag}>" if tag else escape(text)


def _text(content: Content, count: int) -> str:
    headline = f"{MARKS[content.tone]} {inert(content.headline, MAX_HEADLINE, 'b')}"
    facts = "\n".join(
        f"{inert(name, MAX_NAME, 'b')}: {inert(value, MAX_VALUE)}" for name, value in some_facts(content, count)
    )
    links = " · ".join(f'<a href="{escape(url)}">{escape(title)}</a>' for title, url in web_links(content))
    return "\n\n".join(part for part in (headline, facts, links) if part)


def _length(text: str) -> int:
    """Return at least the length of a text without its tags, in UTF-16, as Telegram counts."""
    return len(TAG.sub("", text).encode("utf-16-le")) // 2


def _object(text: str) -> dict[str, Any]:
    """Return the JSON object in a text; an empty one if there is none."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _contains(answer: dict[str, Any], texts: Iterable[str]) -> bool:
    return any(text in str(answer.get("description")) for text in texts)


def _retry_after(answer: dict[str, Any]) -> timedelta | None:
    parameters = answer.get("parameters")
    seconds = parameters.get("retry_after") if isinstance(parameters, dict) else None
    if not isinstance(seconds, int) or seconds < 0:
        return None
    return timedelta(seconds=min(seconds, int(MAX_PAUSE.total_seconds())))
