"""Messages to Slack.

Limits (https://docs.slack.dev/reference/block-kit/blocks/, read 2026-11-29), which slackblocks also checks: 50 blocks;
a section has a text of 3,000 characters, or 10 fields of 2,000; a context has 10 elements, and an actions block 25; a
button has a title of 75 characters and a URL of 3,000. All blocks together may have about 12,000 characters
(https://github.com/slackapi/bolt-js/issues/2509).
"""

import json
import re

import pytest
import slackblocks

from logs.notifications.channels.base import Dead, Later, Refused, Sent
from logs.notifications.channels.slack import escaped
from tests.unit.notifications.channels.contract import PAGE_URL, RUN_URL, HttpContract, make_content, make_response

ENTITY = re.compile("&(?!amp;|lt;|gt;)|[<>]")


def block_of(block):
    """Return what slackblocks makes of a block; it raises if Slack would."""
    if block["type"] != "actions":
        return slackblocks.blocks.Block.from_dict(block)
    buttons = [
        slackblocks.Button(text=slackblocks.Text.from_dict(button["text"]), action_id="open", url=button["url"])
        for button in block["elements"]
    ]
    return slackblocks.ActionsBlock(elements=buttons)


class TestSlack(HttpContract):
    kind = "slack"
    settings = {"url": "https://hooks.slack.com/services/T00000000/B00000000/abcdefghijklmnopqrstuvwx"}
    accepted = {200}
    acceptance = "ok"
    dead = {410}

    def attachment(self, wire):
        [attachment] = json.loads(wire)["attachments"]
        return attachment

    def blocks(self, wire):
        return self.attachment(wire)["blocks"]

    def mrkdwn(self, wire):
        for block in self.blocks(wire):
            for text in (block.get("text"), *block.get("fields", []), *block.get("elements", [])):
                if text and text["type"] == "mrkdwn":
                    yield text

    def urls(self, wire):
        return [button["url"] for block in self.blocks(wire) for button in block.get("elements", []) if "url" in button]

    def check_limits(self, wire):
        attachment = self.attachment(wire)
        blocks = [block_of(block) for block in attachment["blocks"]]
        message = slackblocks.WebhookMessage(
            text=json.loads(wire)["text"],
            attachments=[slackblocks.Attachment(blocks=blocks, color=attachment["color"])],
        )
        assert message.to_dict()
        assert 0 < len(json.loads(wire)["text"]) <= 3_000
        for block in attachment["blocks"]:
            assert len(block.get("text", {}).get("text", "")) <= 3_000
            assert len(block.get("fields", [])) <= 10
            assert all(0 < len(field["text"]) <= 2_000 for field in block.get("fields", []))
            if block["type"] == "actions":
                assert all(0 < len(button["text"]["text"]) <= 75 for button in block["elements"])
        assert sum(len(text["text"]) for text in self.mrkdwn(wire)) <= 10_000

    def check_inert(self, wire):
        assert json.loads(wire)["parse"] == "none"
        assert not ENTITY.search(json.loads(wire)["text"])
        for text in self.mrkdwn(wire):
            assert text["verbatim"] is True
            assert not ENTITY.search(text["text"])

    def test_a_breakage_has_the_form_of_the_design(self):
        document = json.loads(self.wire(self.make_message()))
        assert document == {
            "text": "acme/orchard: build broke on main (#4711)",
            "parse": "none",
            "unfurl_links": False,
            "unfurl_media": False,
            "attachments": [{"color": "#c62828", "blocks": self.blocks(json.dumps(document))}],
        }
        headline, section, context, actions = document["attachments"][0]["blocks"]
        assert headline["text"]["text"] == "*build broke on main*"
        assert [field["text"] for field in section["fields"]] == [
            "*Project*\nacme/orchard",
            "*Failed jobs*\nlint, test",
            "*First failing commit*\n1a2b3c4 Prune the apple trees &lt;3",
            "*Author*\nAda",
        ]
        assert [text["text"] for text in context["elements"]] == ["Failing since 2026-11-27 16:40 UTC"]
        assert [(button["text"]["text"], button["url"]) for button in actions["elements"]] == [
            ("Open in CircleCI", RUN_URL),
            ("Open in webhooklog", PAGE_URL),
        ]

    def test_a_fix_is_green(self):
        assert self.attachment(self.wire(self.make_message(make_content("fixed"))))["color"] == "#2e7d32"

    def test_all_lines_of_a_digest_are_shown(self):
        facts = [(f"acme/shop · deploy {n}", "broke on main") for n in range(15)] + [("And", "22 more")]
        blocks = self.blocks(self.wire(self.make_message(make_content("digest", facts=facts))))
        assert [len(block["fields"]) for block in blocks if "fields" in block] == [10, 6]

    def test_facts_that_are_left_out_are_counted(self):
        facts = [(f"name {n}", "value") for n in range(40)]
        blocks = self.blocks(self.wire(self.make_message(make_content(facts=facts))))
        assert [text["text"] for block in blocks if block["type"] == "context" for text in block["elements"]] == [
            "And 20 more"
        ]

    def test_an_entity_is_never_cut_in_two(self):
        for length in range(1, 40):
            text = escaped("a<b&c>" * 100, length)
            assert len(text) <= length
            assert not ENTITY.search(text)

    @pytest.mark.parametrize(
        ("status", "word"),
        [
            (404, "no_service"),
            (404, "no_team"),
            (404, "channel_not_found"),
            (410, "channel_is_archived"),
            (403, "action_prohibited"),
            (403, "invalid_token"),
            (400, "no_service"),
            (200, "no_service"),
        ],
    )
    def test_a_channel_that_slack_does_not_know_is_dead(self, status, word):
        outcome, _ = self.deliver(make_response(status, f"{word}\n"))
        assert outcome == Dead(reason=f"{status} {word}")

    def test_only_ok_is_accepted(self):
        assert self.deliver(make_response(200, "ok"))[0] == Sent()
        assert self.deliver(make_response(200, "<html>Log in"))[0] == Later(reason="200 <html>Log in")
        assert self.deliver(make_response(400, "invalid_payload"))[0] == Refused(reason="400 invalid_payload")
