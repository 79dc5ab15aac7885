"""Messages to Microsoft Teams.

Limits (https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/add-incoming-webhook, read
2026-11-29): a message is at most 28 KB. Cards stay below 25 kB. TextBlock, Fact.title and Fact.value interpret Markdown
(https://learn.microsoft.com/microsoftteams/platform/task-modules-and-cards/cards/cards-format), but no HTML.
"""

import json
import re

import pytest

from logs.notifications.channels.base import Dead, Sent
from logs.notifications.channels.teams import escaped
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
MARKUP = re.compile(r"[\\`*_\[\]<~{]|^[-+#>]\s|^\d{1,2}[.)]")


class TestTeams(HttpContract):
    kind = "teams"
    settings = {
        "url": "https://default0a.1b.environment.api.powerplatform.com:443/powerautomate/automations/direct/workflows/0a1b"
        "/triggers/manual/paths/invoke?api-version=1&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=abcdefghij"
    }
    accepted = {200, 202}
    dead = {410}

    @pytest.mark.parametrize("host", ["teams.microsoft.com", "Teams.Microsoft.com", "teams.cloud.microsoft"])
    def test_rejects_a_link_to_the_channel(self, host):
        [field] = self.transport.fields
        assert not re.fullmatch(field.pattern, f"https://{host}/l/channel/19%3Aa1b2%40thread.tacv2/Builds?groupId=7")

    def card(self, wire):
        document = json.loads(wire)
        [attachment] = document["attachments"]
        assert document["type"] == "message"
        assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
        assert attachment["contentUrl"] is None
        return attachment["content"]

    def urls(self, wire):
        return [action["url"] for action in self.card(wire)["actions"]]

    def facts(self, wire):
        return [fact for block in self.card(wire)["body"] if block["type"] == "FactSet" for fact in block["facts"]]

    def check_limits(self, wire):
        assert len(wire) <= 25_000
        assert all(action["type"] == "Action.OpenUrl" for action in self.card(wire)["actions"])
        assert len(self.card(wire)["actions"]) <= 6

    def check_inert(self, wire):
        card = self.card(wire)
        texts = [card["fallbackText"], *(block["text"] for block in card["body"] if block["type"] == "TextBlock")]
        texts += [text for fact in self.facts(wire) for text in fact.values()]
        for text in texts:
            assert not MARKUP.search(re.sub(r"\\[^\w\s]", "x", text)), text
            assert "\n" not in text

    def test_a_breakage_has_the_form_of_the_design(self):
        assert self.card(self.wire(self.make_message())) == {
            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
            "type": "AdaptiveCard",
            "version": "1.4",
            "fallbackText": "acme/orchard: build broke on main",
            "body": [
                {
                    "type": "TextBlock",
                    "text": "build broke on main",
                    "weight": "Bolder",
                    "size": "Medium",
                    "color": "Attention",
                    "wrap": True,
                },
                {
                    "type": "FactSet",
                    "facts": [
                        {"title": "Project", "value": "acme/orchard"},
                        {"title": "Failed jobs", "value": "lint, test"},
                        {"title": "First failing commit", "value": r"1a2b3c4 Prune the apple trees \<3"},
                        {"title": "Author", "value": "Ada"},
                        {"title": "State", "value": "Failing since 2026-11-27 16:40 UTC"},
                    ],
                },
            ],
            "actions": [
                {"type": "Action.OpenUrl", "title": "Open in CircleCI", "url": RUN_URL},
                {"type": "Action.OpenUrl", "title": "Open in webhooklog", "url": PAGE_URL},
            ],
        }

    def test_a_fix_is_green(self):
        assert self.card(self.wire(self.make_message(make_content("fixed"))))["body"][0]["color"] == "Good"

    def test_facts_are_cut_first_and_counted(self):
        wire = self.wire(self.make_message(filled_with(HOSTILE["emoji"])))
        *shown, last = self.facts(wire)
        assert 0 < len(shown) < 40
        assert last == {"title": "And", "value": f"{40 - len(shown)} more"}
        assert self.urls(wire)

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("feature/a-b.c", "feature/a-b.c"),
            ("snake_case", r"snake\_case"),
            ("1. first", r"1\. first"),
            ("12) twelfth", r"12\) twelfth"),
            ("- item", r"\- item"),
            ("-1", "-1"),
            ("[a](b)", r"\[a\](b)"),
            ("C:\\n", r"C:\\n"),
            ("{{DATE(x)}} {a}", r"\{\{DATE(x)}} \{a}"),
            ("{{{DATE(x)}}}", r"\{\{\{DATE(x)}}}"),
        ],
    )
    def test_escapes_markdown_and_nothing_else(self, text, expected):
        assert escaped(text, 100) == expected

    @pytest.mark.parametrize("status", [400, 404, 409, 502])
    def test_a_workflow_that_is_turned_off_is_dead(self, status):
        text = '{"error": {"code": "WorkflowTriggerIsNotEnabled", "message": "trigger is not enabled."}}'
        outcome, _ = self.deliver(make_response(status, text))
        assert outcome == Dead(reason=f"{status} {text}")

    def test_an_accepted_message_is_sent(self):
        assert self.deliver(make_response(202))[0] == Sent()
