"""Messages to Mattermost.

Limits (https://developers.mattermost.com/integrate/webhooks/incoming/, read 2026-11-29): a post has 16,383 characters;
a longer one is split. Attachments have 760,000 in JSON (PostPropsMaxUserRunes in
https://github.com/mattermost/mattermost/blob/master/server/public/model/post.go), or the response is a 400. Before
Markdown is parsed, `<!channel>` becomes `@channel`, and `<url|text>` a link (…/server/channels/app/webhook.go).
"""

import json
import re

import pytest

from logs.notifications.channels.base import Dead, Later, Refused, Sent
from logs.notifications.channels.mattermost import inert
from tests.unit.notifications.channels.contract import PAGE_URL, RUN_URL, HttpContract, make_content, make_response

CODE = re.compile("`[^`\n]+`")
LINK = re.compile(r"\[([^\[\]]+)\]\(([^()\s]+)\)")
# Outside code, this would be interpreted: Markdown, mentions, channels, hashtags, emoji, LaTeX, URLs and HTML.
MARKUP = re.compile(r"[\\`*_\[\]<>~!@#$|&/]|[:.]\w(?<!\d:\d)|^[-+=]")
GONE = '{"id":"web.incoming_webhook.invalid.app_error","message":"Invalid webhook.","status_code":400}'


def translated(text):
    """Return what Mattermost makes of Slack's markup before it parses Markdown."""
    text = re.sub(r"<!(channel|here|all)>", r"@\1", text)
    return re.sub(r"<([^\n<|>]+)\|([^|\n>]+)>", r"[\2](\1)", text)


def response_to(body):
    """Return Mattermost's response to a request."""
    document = json.loads(body)
    if not document.get("text") and not document.get("attachments"):
        return make_response(400, '{"id":"web.incoming_webhook.text.app_error","status_code":400}')
    if len(json.dumps(document)) > 760_000:
        return make_response(400, '{"id":"web.incoming_webhook.split_props_length.app_error","status_code":400}')
    return make_response(200, "ok")


class TestMattermost(HttpContract):
    kind = "mattermost"
    settings = {"url": "https://mattermost.example.com/hooks/abcdefghijklmnopqrstuvwxyz"}
    accepted = {200}
    acceptance = "ok"
    dead = {404}

    def attachment(self, wire):
        [attachment] = json.loads(wire)["attachments"]
        return attachment

    def urls(self, wire):
        return [url for _, url in LINK.findall(CODE.sub("", self.attachment(wire)["text"]))]

    def check_limits(self, wire):
        attachment = self.attachment(wire)
        assert self.deliver(response_to(wire))[0] == Sent()
        texts = [attachment["text"], *(field[part] for field in attachment["fields"] for part in ("title", "value"))]
        assert sum(len(text) for text in texts) <= 16_383
        assert all(text.strip() for text in texts)

    def check_inert(self, wire):
        attachment = self.attachment(wire)
        assert "text" not in json.loads(wire)  # Mattermost looks for hashtags and mentions in it.
        headline, *links = attachment["text"].split("\n")
        for link in links:
            assert LINK.sub("", link).strip(" ·") == ""
        texts = [re.sub(r"^\*\*([^*]+)\*\*$", r"\1", headline)]
        texts += [title for link in links for title, _ in LINK.findall(link)]
        texts += [field[part] for field in attachment["fields"] for part in ("title", "value")]
        for text in texts:
            assert "\n" not in text
            assert CODE.fullmatch(translated(text)) or not MARKUP.search(translated(text)), text
            assert CODE.fullmatch(text) or "`" not in text

    def test_a_breakage_is_red_and_names_the_facts(self):
        assert json.loads(self.wire(self.make_message())) == {
            "attachments": [
                {
                    "fallback": "acme/orchard: build broke on main",
                    "color": "#c62828",
                    "text": "**build broke on main**\n"
                    f"[Open in CircleCI]({RUN_URL}) · [Open in webhooklog]({PAGE_URL})",
                    "fields": [
                        {"short": True, "title": "Project", "value": "`acme/orchard`"},
                        {"short": True, "title": "Failed jobs", "value": "lint, test"},
                        {
                            "short": True,
                            "title": "First failing commit",
                            "value": "`1a2b3c4 Prune the apple trees <3`",
                        },
                        {"short": True, "title": "Author", "value": "Ada"},
                        {"short": True, "title": "State", "value": "Failing since 2026-11-27 16:40 UTC"},
                    ],
                }
            ]
        }

    def test_a_fix_is_green(self):
        assert self.attachment(self.wire(self.make_message(make_content("fixed"))))["color"] == "#2e7d32"

    def test_all_lines_of_a_digest_are_shown(self):
        facts = [(f"acme/shop · deploy {n}", "broke on main") for n in range(15)] + [("And", "22 more")]
        assert len(self.attachment(self.wire(self.make_message(make_content("digest", facts=facts))))["fields"]) == 16

    def test_facts_that_are_left_out_are_counted(self):
        facts = [(f"name {n}", "value") for n in range(40)]
        fields = self.attachment(self.wire(self.make_message(make_content(facts=facts))))["fields"]
        assert fields[-1] == {"short": True, "title": "And", "value": "20 more"}

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("build broke on main", "**build broke on main**"),
            ("Test message from webhooklog.", "**Test message from webhooklog.**"),
            ("build broke on release/1.2", "`build broke on release/1.2`"),
            ("snake_case", "`snake_case`"),
            ("@channel", "`@channel`"),
            ("email ada@example.com", "`email ada@example.com`"),
            (":tada:", "`:tada:`"),
            ("www.evil.example", "`www.evil.example`"),
            ("a ` b ** c", "`a ' b ** c`"),
            (" ", "`…`"),
        ],
    )
    def test_shows_as_code_what_mattermost_could_interpret(self, text, expected):
        assert inert(text, 100, "**") == expected

    def test_a_url_with_parentheses_ends_with_its_link(self):
        url = "https://hooks.example.com/a)b(c"
        text = self.attachment(self.wire(self.make_message(make_content(links=[("Open", url)]))))["text"]
        assert text.endswith("\n[Open](https://hooks.example.com/a%29b%28c)")

    @pytest.mark.parametrize(
        ("status", "body"), [(400, GONE), (404, '{"id":"app.channel.get.existing.app_error","status_code":404}')]
    )
    def test_a_webhook_or_channel_that_was_removed_is_dead(self, status, body):
        assert self.deliver(make_response(status, body))[0] == Dead(reason=f"{status} {body}")

    def test_only_ok_is_accepted(self):
        assert self.deliver(make_response(200, "<html>Log in"))[0] == Later(reason="200 <html>Log in")
        assert isinstance(self.deliver(response_to('{"attachments": []}'))[0], Refused)
        too_long = json.dumps({"attachments": [{"fields": ["x" * 760_000]}]})
        assert isinstance(self.deliver(response_to(too_long))[0], Refused)

    def test_a_server_inside_the_network_may_use_http(self):
        [field] = self.transport.fields
        assert re.fullmatch(field.pattern, "http://mattermost.lan:8065/hooks/abcdefghijklmnopqrstuvwxyz")
