"""Messages to Discord.

Limits (https://docs.discord.com/developers/resources/message#embed-object-embed-limits, read 2026-11-29): a title has
256 characters, a description 4,096, an embed 25 fields with names of 256 and values of 1,024, and all of these together
6,000. Surrounding spaces are not counted, and names and values must not be empty. Any violation is a 400.
"""

import json
import re

import pytest

from logs.notifications.channels.base import Dead, Later, Refused, Sent
from logs.notifications.channels.discord import escaped
from tests.unit.notifications.channels.contract import (
    HOSTILE,
    PAGE_URL,
    RUN_URL,
    HttpContract,
    filled_with,
    make_content,
    make_response,
)

# After each backslash with what it escapes is removed, this would still be interpreted.
MARKUP = re.compile(r"[\\*_~`|\[\]<>@#]|://|^[-+]\s")
LINK = re.compile(r"\[((?:\\.|[^\[\]\\])+)\]\(<([^<>\s]+)>\)")


def length_of(text):
    """Return the length of a text in UTF-16, which is never less than its number of characters."""
    return len(text.strip().encode("utf-16-le")) // 2


def status_of(body):
    """Return the status of Discord's response to a request."""
    document = json.loads(body)
    [embed] = document["embeds"]
    texts = [(embed["title"], 256), (embed["description"], 4_096)]
    for field in embed["fields"]:
        texts += [(field["name"], 256), (field["value"], 1_024)]
        if not field["name"].strip() or not field["value"].strip():
            return 400
    is_valid = (
        all(length_of(text) <= limit for text, limit in texts)
        and sum(length_of(text) for text, _ in texts) <= 6_000
        and len(embed["fields"]) <= 25
        and 0 <= embed["color"] <= 0xFFFFFF
    )
    return 200 if is_valid else 400


class TestDiscord(HttpContract):
    kind = "discord"
    settings = {"url": "https://discord.com/api/webhooks/112233445566778899/abcdefghijklmnopqrstuvwx-_0123456789"}
    accepted = {200, 204}
    dead = {401, 404}

    def embed(self, wire):
        [embed] = json.loads(wire)["embeds"]
        return embed

    def urls(self, wire):
        return [url for _, url in LINK.findall(self.embed(wire)["description"])]

    def check_limits(self, wire):
        assert status_of(wire) == 200
        assert self.embed(wire)["title"].strip()

    def check_inert(self, wire):
        embed = self.embed(wire)
        assert json.loads(wire)["allowed_mentions"] == {"parse": []}
        assert "content" not in json.loads(wire)
        texts = [embed["title"], *(title for title, _ in LINK.findall(embed["description"]))]
        texts += [field[part] for field in embed["fields"] for part in ("name", "value")]
        for text in texts:
            assert not MARKUP.search(re.sub(r"\\[^\w\s]", "x", text)), text
            assert "\n" not in text
        assert LINK.sub("", embed["description"]).strip(" ·") == ""

    def test_a_breakage_is_red_and_names_the_facts(self):
        assert self.embed(self.wire(self.make_message())) == {
            "title": "build broke on main",
            "description": f"[Open in CircleCI](<{RUN_URL}>) · [Open in webhooklog](<{PAGE_URL}>)",
            "color": 0xC62828,
            "fields": [
                {"name": "Project", "value": "acme/orchard", "inline": True},
                {"name": "Failed jobs", "value": "lint, test", "inline": True},
                {"name": "First failing commit", "value": r"1a2b3c4 Prune the apple trees \<3", "inline": True},
                {"name": "Author", "value": "Ada", "inline": True},
                {"name": "State", "value": "Failing since 2026-11-27 16:40 UTC", "inline": True},
            ],
        }

    def test_a_fix_is_green(self):
        assert self.embed(self.wire(self.make_message(make_content("fixed"))))["color"] == 0x2E7D32

    def test_all_lines_of_a_digest_are_shown(self):
        facts = [(f"acme/shop · deploy {n}", "broke on main") for n in range(15)] + [("And", "22 more")]
        assert len(self.embed(self.wire(self.make_message(make_content("digest", facts=facts))))["fields"]) == 16

    @pytest.mark.parametrize("text", ["n", HOSTILE["emoji"], HOSTILE["backslashes"]])
    def test_facts_that_are_left_out_are_counted(self, text):
        *shown, last = self.embed(self.wire(self.make_message(filled_with(text))))["fields"]
        assert 0 < len(shown) <= 24
        assert (last["name"], last["value"]) == ("And", f"{40 - len(shown)} more")

    def test_a_long_url_is_left_out(self):
        long = f"https://hooks.example.com/{'x' * 1_900}"
        wire = self.wire(self.make_message(make_content(links=[("Open", long)] * 4 + [("Open", PAGE_URL)])))
        assert self.urls(wire) == [PAGE_URL]

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("feature/a-b.c", "feature/a-b.c"),
            ("snake_case", r"snake\_case"),
            ("- item", r"\- item"),
            ("-1", "-1"),
            ("[a](b)", r"\[a\](b)"),
            ("||spoiler||", r"\|\|spoiler\|\|"),
            ("<@&123> @here", r"\<\@&123\> \@here"),
            ("-# small", r"-\# small"),
            ("at 16:40: https://evil.example", r"at 16:40: https\://evil.example"),
        ],
    )
    def test_escapes_markdown_and_nothing_else(self, text, expected):
        assert escaped(text, 100) == expected

    @pytest.mark.parametrize(
        ("url", "expected"),
        [
            ("https://discord.com/api/webhooks/1/a", "https://discord.com/api/v10/webhooks/1/a?wait=true"),
            ("https://discord.com/api/v9/webhooks/1/a", "https://discord.com/api/v10/webhooks/1/a?wait=true"),
            (
                "https://discord.com/api/webhooks/1/a?thread_id=2",
                "https://discord.com/api/v10/webhooks/1/a?thread_id=2&wait=true",
            ),
        ],
    )
    def test_asks_a_version_with_seconds_to_confirm_that_it_stored_the_message(self, url, expected):
        assert self.transport.request(self.make_message(settings={"url": url})).url == expected

    def test_waits_as_long_as_the_documented_response_says(self):
        body = '{"message": "You are being rate limited.", "retry_after": 64.57, "global": false}'
        outcome, _ = self.deliver(make_response(429, body, retry_after="65"))
        assert isinstance(outcome, Later)
        assert outcome.after.total_seconds() == 65

    @pytest.mark.parametrize(
        ("status", "body"),
        [
            (404, '{"message": "Unknown Webhook", "code": 10015}'),
            (401, '{"message": "Invalid Webhook Token", "code": 50027}'),
        ],
    )
    def test_an_unknown_webhook_is_dead(self, status, body):
        assert self.deliver(make_response(status, body))[0] == Dead(reason=f"{status} {body}")

    def test_a_message_that_discord_finds_too_long_is_refused(self):
        embed = self.embed(self.wire(self.make_message()))
        field = {"name": "a", "value": "b"}
        for part, value in [
            ("title", "x" * 257),
            ("description", "x" * 4_097),
            ("fields", [field] * 26),
            ("fields", [field | {"name": "x" * 257}]),
            ("fields", [field | {"value": "x" * 1_025}]),
            ("fields", [field | {"value": " "}]),
            ("fields", [field | {"value": "x" * 1_000}] * 6),
        ]:
            status = status_of(json.dumps({"embeds": [embed | {part: value}]}))
            assert isinstance(self.deliver(make_response(status))[0], Refused), part
        assert self.deliver(make_response(status_of(self.wire(self.make_message()))))[0] == Sent()
