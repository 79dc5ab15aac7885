"""Messages to Telegram.

Limits (https://core.telegram.org/bots/api#sendmessage, read 2026-11-29): a text has 1 to 4,096 characters after its
entities are parsed; they are counted in UTF-16 here, which is never less. HTML has only some tags and named entities
(…#html-style). Entities after the hundredth are ignored
(https://docs.python-telegram-bot.org/en/v13.2/telegram.constants.html).
"""

import json
import re
from datetime import timedelta
from html import unescape

import pytest

from logs.notifications.channels.base import Dead, Later, Refused, Sent
from logs.notifications.channels.telegram import inert
from logs.notifications.hiding import HIDDEN, hidden_parts, without
from tests.unit.notifications.channels.contract import (
    HOSTILE,
    PAGE_URL,
    RUN_URL,
    HttpContract,
    filled_with,
    make_content,
    make_response,
)

TOKEN = "123456789:AAEhBP0av28_example-token_0123456789"
TAG = re.compile(r'<(/?)(b|code|a)(?: href="([^"<>]*)")?>')
ENTITY = re.compile("&(?!(?:lt|gt|amp|quot|#x?[0-9a-f]+);)")
OUTSIDE = re.compile("<code>[^<]*</code>|<a [^>]*>[^<]*</a>")
# Outside code and links, Telegram would find mentions, hashtags, cashtags, commands and URLs.
FOUND = re.compile(r"[@#$/\\]|\.\w")


def rejection(description):
    return make_response(
        400, json.dumps({"ok": False, "error_code": 400, "description": f"Bad Request: {description}"})
    )


def response_to(body):
    """Return Telegram's response to a request."""
    document = json.loads(body)
    text, open_tags = document["text"], []
    for is_end, name, _ in TAG.findall(text):
        if is_end and (not open_tags or open_tags.pop() != name):
            return rejection("can't parse entities: unmatched end tag")
        if not is_end:
            open_tags.append(name)
    plain = TAG.sub("", text)
    if open_tags or "<" in plain or ">" in plain or ENTITY.search(text):
        return rejection("can't parse entities")
    parsed = unescape(plain).strip()
    if not parsed:
        return rejection("message text is empty")
    if len(parsed.encode("utf-16-le")) // 2 > 4_096:
        return rejection("message is too long")
    return make_response(200, '{"ok": true, "result": {"message_id": 1}}')


class TestTelegram(HttpContract):
    kind = "telegram"
    settings = {"token": TOKEN, "chat_id": "-1001234567890"}
    accepted = {200}
    acceptance = '{"ok":true}'
    dead = {401, 403}

    def text(self, wire):
        return json.loads(wire)["text"]

    def urls(self, wire):
        return [unescape(url) for _, name, url in TAG.findall(self.text(wire)) if url]

    def check_limits(self, wire):
        assert self.deliver(response_to(wire))[0] == Sent()
        assert sum(not is_end for is_end, _, _ in TAG.findall(self.text(wire))) <= 100

    def check_inert(self, wire):
        document = json.loads(wire)
        assert document["parse_mode"] == "HTML"
        assert document["link_preview_options"] == {"is_disabled": True}
        outside = TAG.sub("", OUTSIDE.sub("", self.text(wire)))
        assert not FOUND.search(unescape(outside)), outside

    def test_a_breakage_names_the_facts_and_links(self):
        request = self.transport.request(self.make_message())
        assert request.url == f"https://api.telegram.org/bot{TOKEN}/sendMessage"
        assert json.loads(request.body) == {
            "chat_id": "-1001234567890",
            "text": "🔴 <b>build broke on main</b>\n\n"
            "<b>Project</b>: <code>acme/orchard</code>\n"
            "<b>Failed jobs</b>: lint, test\n"
            "<b>First failing commit</b>: <code>1a2b3c4 Prune the apple trees &lt;3</code>\n"
            "<b>Author</b>: Ada\n"
            "<b>State</b>: Failing since 2026-11-27 16:40 UTC\n\n"
            f'<a href="{RUN_URL}">Open in CircleCI</a> · <a href="{PAGE_URL}">Open in webhooklog</a>',
            "parse_mode": "HTML",
            "link_preview_options": {"is_disabled": True},
        }

    def test_a_fix_is_green(self):
        assert self.text(self.wire(self.make_message(make_content("fixed")))).startswith("✅ <b>build is fixed on main")

    def test_the_server_can_be_another_one(self):
        settings = self.settings | {"base_url": "https://bots.example.com:8081"}
        url = self.transport.request(self.make_message(settings=settings)).url
        assert url == f"https://bots.example.com:8081/bot{TOKEN}/sendMessage"

    @pytest.mark.parametrize("text", ["n", HOSTILE["emoji"], HOSTILE["entities"]])
    def test_facts_that_are_left_out_are_counted(self, text):
        content = filled_with(text)
        wire = self.wire(self.make_message(make_content(facts=[*content.facts, ("last", "value")])))
        _, facts, _ = self.text(wire).split("\n\n")
        *shown, last = facts.split("\n")
        assert 0 < len(shown) <= 40
        assert last == f"<b>And</b>: {41 - len(shown)} more"

    def test_all_lines_of_a_digest_are_shown(self):
        facts = [(f"acme/shop · deploy {n}", "broke on main") for n in range(15)] + [("And", "22 more")]
        text = self.text(self.wire(self.make_message(make_content("digest", facts=facts))))
        assert "<code>acme/shop · deploy 14</code>: broke on main\n<b>And</b>: 22 more" in text

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("build broke on main", "<b>build broke on main</b>"),
            ("build broke on release/1.2", "<code>build broke on release/1.2</code>"),
            ("@ada", "<code>@ada</code>"),
            ("evil.example", "<code>evil.example</code>"),
            ("a & b", "<code>a &amp; b</code>"),
            (" ", "<code>…</code>"),
        ],
    )
    def test_shows_as_code_what_telegram_could_interpret(self, text, expected):
        assert inert(text, 100, "b") == expected

    @pytest.mark.parametrize(
        ("description", "is_certain"),
        [
            ("chat not found", True),
            ("group chat was upgraded to a supergroup chat", True),
            ("not enough rights to send text messages to the chat", False),
            ("have no rights to send a message", False),
            ("need administrator rights in the channel chat", False),
        ],
    )
    def test_a_chat_to_which_the_bot_cannot_write_is_dead(self, description, is_certain):
        outcome, _ = self.deliver(rejection(description))
        assert isinstance(outcome, Dead)
        assert outcome.is_certain == is_certain
        assert description in outcome.reason

    @pytest.mark.parametrize("text", ["", " ", "x" * 4_097, "<b>x", "x</b>", "a < b", "a &nbsp; b", "🔥" * 2_049])
    def test_a_message_that_telegram_cannot_show_is_refused(self, text):
        assert isinstance(self.deliver(response_to(json.dumps({"text": text})))[0], Refused)

    @pytest.mark.parametrize(
        "body", ["", "<html>Log in", "[]", '{"ok": false}', '{"ok": 1}', "[" * 50_000, "9" * 5_000]
    )
    def test_only_a_response_that_is_ok_is_accepted(self, body):
        assert isinstance(self.deliver(make_response(200, body))[0], Later)

    @pytest.mark.parametrize(
        ("parameters", "seconds"),
        [
            ({"retry_after": 37}, 37),
            ({"retry_after": 10**30}, 3_600),
            ({"retry_after": -1}, None),
            ({"retry_after": "37"}, None),
            ({}, None),
            ([], None),
        ],
    )
    def test_waits_as_long_as_telegram_says_but_at_most_an_hour(self, parameters, seconds):
        body = {"ok": False, "error_code": 429, "description": "Too Many Requests", "parameters": parameters}
        outcome, _ = self.deliver(make_response(429, json.dumps(body)))
        assert isinstance(outcome, Later)
        assert outcome.after == (None if seconds is None else timedelta(seconds=seconds))

    def test_the_token_is_hidden_in_a_response_that_repeats_the_url(self):
        url = self.transport.request(self.make_message()).url
        shown = without(hidden_parts(self.secrets()), f"{url} {url.replace(':', '%3A')} {json.dumps(url)}")
        assert shown.count(f"/bot{HIDDEN}/sendMessage") == 3
        assert TOKEN.partition(":")[2] not in shown
