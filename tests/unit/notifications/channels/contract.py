"""The contract of all channels. The tests of each channel inherit it and state the vendor's limits."""

import json
import re
from datetime import UTC, timedelta
from email.utils import format_datetime

import pytest
from django.utils import timezone

from logs.notifications.channels import TRANSPORTS
from logs.notifications.channels.base import MAX_PAUSE, Dead, Later, Message, Refused, Sent
from logs.notifications.content import Content
from logs.notifications.guard import Request, Response

ID = 1042
THREAD = "wl-5f2c9a1e7b3d4086"
RUN_URL = "https://app.circleci.com/pipelines/github/acme/orchard/4711/workflows/0a1b2c3d"
PAGE_URL = "https://hooks.example.com/admin/logs/workflowevent/7/change/"
KINDS = ["broke", "fixed", "reminder", "run", "job", "alarm", "alarm_over", "digest", "test"]
BAD = ("broke", "reminder", "run", "job", "alarm", "digest")
HOSTILE = {
    "mention": "<!channel> <@U123> <!here>",
    "everyone": "@everyone @here @channel",
    "script": "javascript:alert(1)",
    "header": "main\r\nBcc: victim@example.com\r\n\r\nbody",
    "override": "\u202egnp.exe \u2066hidden\u2069",
    "html": "<script>alert(1)</script><img src=x onerror=alert(1)>\"'>",
    "markdown": "[click](https://evil.example) ![x](https://evil.example/x.png) **bold** <https://evil.example>",
    "date": "{{DATE(2017-02-14T06:08:39Z, SHORT)}}",
    "nul": "a\x00b\x1b[31mc\x85d",
    "surrogate": "a\ud800b",
    "entities": "&" * 5_000,
    "backslashes": "\\" * 5_000,
    "emoji": "\N{FIRE}" * 10_000,
}
ACTIVE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ud800-\udfff]")


def change(**overrides):
    values = {
        "id": 733,
        "project": "acme/orchard",
        "project_slug": "github/acme/orchard",
        "workflow": "build",
        "branch": "main",
        "pipeline_number": 4711,
        "revision": "1a2b3c4",
        "author": "Ada",
        "subject": "Prune the apple trees <3",
        "happened_at": "2026-11-27T16:40:00Z",
        "broken_for_seconds": None,
        "failures": 1,
        "breakage_id": 733,
    }
    return values | overrides


def alarm(text="github/acme/garden", **overrides):
    values = {
        "id": 5,
        "alarm": "silence",
        "opened_at": "2026-11-27T16:40:00Z",
        "closed_at": None,
        "detail": {"project": text, "project_slug": text, "webhook": text, "projects": [text] * 15},
    }
    return values | overrides


def make_content(kind="broke", **overrides):
    """Return content as it is composed, or as hostile as the overrides are."""
    is_change = kind in ("broke", "fixed", "reminder", "run", "job")
    headlines = {
        "broke": "build broke on main",
        "fixed": "build is fixed on main",
        "reminder": "build is still broken on main",
        "run": "build failed on main",
        "job": "lint failed on main",
        "alarm": "acme/garden has been silent since Wed 2026-11-25 16:53 UTC",
        "alarm_over": "acme/garden delivers again, after 2 h 14 min",
        "digest": "2 changes: 1 broke, 1 fixed",
        "test": "Test message from webhooklog",
    }
    facts = {
        "broke": [
            ("Project", "acme/orchard"),
            ("Failed jobs", "lint, test"),
            ("First failing commit", "1a2b3c4 Prune the apple trees <3"),
            ("Author", "Ada"),
            ("State", "Failing since 2026-11-27 16:40 UTC"),
        ],
        "fixed": [("Project", "acme/orchard"), ("State", "After 2 h 14 min and 3 failed runs")],
        "reminder": [("Project", "acme/orchard"), ("State", "Failing since 2026-11-27 16:40 UTC")],
        "run": [("Project", "acme/orchard"), ("Author", "Ada")],
        "job": [("Project", "acme/orchard"), ("Author", "Ada")],
        "alarm": [("Projects", "github/acme/garden"), ("What to do", "Check that the webhook still exists.")],
        "alarm_over": [("Projects", "github/acme/garden")],
        "digest": [("acme/orchard · build", "broke on main"), ("acme/shop · deploy", "fixed on main")],
        "test": [("Result", "This channel works.")],
    }
    data = {
        "broke": change(),
        "fixed": change(id=740, failures=3, broken_for_seconds=8040),
        "reminder": change(failures=3),
        "run": change(),
        "job": change(),
        "alarm": alarm(),
        "alarm_over": alarm(closed_at="2026-11-27T18:54:00Z"),
        "digest": {"changes": [change(), change(id=734)], "broke": 1, "fixed": 1},
        "test": {},
    }
    run_links = [("Open in CircleCI", RUN_URL), ("Open in webhooklog", PAGE_URL)]
    values = {
        "kind": kind,
        "tone": "bad" if kind in BAD else "good",
        "headline": headlines[kind],
        "facts": facts[kind],
        "links": run_links if is_change else [("Open webhooklog", "https://hooks.example.com/admin/")],
        "project": "acme/orchard" if is_change else "",
        "project_slug": "github/acme/orchard" if is_change else "",
        "workflow": "build" if is_change else "",
        "branch": "main" if is_change else "",
        "happened_at": "2026-11-27T16:40:00+00:00",
        "data": data[kind],
    }
    return Content(**values | overrides)


def filled_with(text, kind="broke"):
    """Return content in which a stranger has written a text wherever possible."""
    texts = dict.fromkeys(("project", "project_slug", "workflow", "branch", "author", "subject"), text)
    data = alarm(text) if kind.startswith("alarm") else change(**texts)
    return make_content(
        kind,
        headline=f"{text} broke on {text}",
        facts=[("Project", text), ("Failed jobs", text), (text, text), ("State", text)] + [(text, text)] * 36,
        links=[
            ("Open in CircleCI", RUN_URL),
            (text, PAGE_URL),
            ("Open", text),
            ("Open", f"https://hooks.example.com/'\"><{text}"),
        ],
        project=text,
        project_slug=text,
        workflow=text,
        branch=text,
        data={"changes": [data] * 15, "broke": 15} if kind == "digest" else data,
    )


def strings_in(value):
    """Yield all texts in a JSON document, names included."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield name
            yield from strings_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings_in(item)
    elif isinstance(value, str):
        yield value


def make_response(status, text="", **headers):
    return Response(
        status=status, headers={name.replace("_", "-"): value for name, value in headers.items()}, body=text.encode()
    )


class Contract:
    """What each channel promises. A subclass sets the kind and the settings, and reads its own message."""

    kind: str
    settings: dict[str, str]

    @property
    def transport(self):
        return TRANSPORTS[self.kind]

    def make_message(self, content=None, **overrides):
        values = {"id": ID, "thread": THREAD, "content": content or make_content(), "settings": self.settings}
        return Message(**values | overrides)

    def wire(self, message):
        """Return the bytes that are the same in each attempt."""
        raise NotImplementedError

    def texts(self, wire):
        """Return the texts that a vendor reads in a message."""
        raise NotImplementedError

    def urls(self, wire):
        """Return the URLs to which a message links."""
        raise NotImplementedError

    def check_limits(self, wire):
        """Assert the vendor's limits."""
        raise NotImplementedError

    def check_inert(self, wire):
        """Assert that a stranger's text is not interpreted."""
        raise NotImplementedError

    def check_message(self, message):
        wire = self.wire(message)
        self.check_limits(wire)
        self.check_inert(wire)
        assert not [text for text in self.texts(wire) if ACTIVE.search(text)]
        assert set(self.urls(wire)) <= {RUN_URL, PAGE_URL, "https://hooks.example.com/admin/"}
        return wire

    @pytest.fixture(autouse=True)
    def combined(self, request):
        """Skip digests where messages are not combined."""
        params = request.node.callspec.params if hasattr(request.node, "callspec") else {}
        if params.get("kind") == "digest" and not self.transport.is_combined:
            pytest.skip("this kind of channel sends no digests")

    def test_is_registered_with_fields_that_accept_their_settings(self):
        assert self.transport.kind == self.kind
        assert {field.name for field in self.transport.fields} >= set(self.settings)
        for field in self.transport.fields:
            value = self.settings.get(field.name, field.default)
            if field.choices:
                assert value in dict(field.choices), field
                continue
            assert re.fullmatch(field.pattern, value), field
            assert not re.fullmatch(field.pattern, "javascript:alert(1)"), field
            assert not re.fullmatch(field.pattern, f"{value}\r\nBcc: victim@example.com"), field
            assert field.invalid.startswith("Enter ")

    @pytest.mark.parametrize("kind", KINDS)
    def test_sends_each_kind_of_message(self, kind):
        wire = self.check_message(self.make_message(make_content(kind)))
        assert wire

    @pytest.mark.parametrize("kind", KINDS)
    def test_sends_a_message_without_facts_links_and_names(self, kind):
        empty = {"facts": [], "links": [], "project": "", "workflow": "", "branch": "", "data": {}}
        self.check_message(self.make_message(make_content(kind, **empty)))

    @pytest.mark.parametrize("kind", KINDS)
    def test_names_of_10000_characters_and_40_facts_stay_within_the_limits(self, kind):
        self.check_message(self.make_message(filled_with("n" * 10_000, kind)))

    @pytest.mark.parametrize("kind", KINDS)
    def test_names_of_spaces_stay_within_the_limits(self, kind):
        self.check_message(self.make_message(filled_with(" \n\t ", kind)))

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("name", HOSTILE)
    def test_hostile_text_is_inert(self, name, kind):
        self.check_message(self.make_message(filled_with(HOSTILE[name], kind)))

    @pytest.mark.parametrize("kind", KINDS)
    def test_a_retry_sends_the_same_bytes_after_the_content_was_stored(self, kind):
        first = make_content(kind)
        # PostgreSQL stores names in an order of its own.
        stored = json.loads(json.dumps(first.to_json()), object_pairs_hook=lambda pairs: dict(reversed(pairs)))
        again = Content.from_json(stored)
        assert self.wire(self.make_message(first)) == self.wire(self.make_message(again))

    def test_a_message_does_not_show_its_secrets(self):
        shown = repr(self.make_message())
        assert not [value for value in self.secrets() if value in shown]

    def secrets(self):
        return [self.settings[field.name] for field in self.transport.fields if field.is_secret]


class HttpContract(Contract):
    """What the channels promise that send an HTTP request."""

    accepted: set[int]
    dead: set[int]
    acceptance = ""  # The body of a response to a message that was accepted.

    def wire(self, message):
        return self.transport.request(message).body

    def texts(self, wire):
        return strings_in(json.loads(wire))

    def deliver(self, response, message=None):
        """Return the outcome of a response, and the request."""
        requests = []

        def send(request):
            requests.append(request)
            return response

        outcome, status = self.transport.deliver(message or self.make_message(), send)
        assert status == response.status
        [request] = requests
        return outcome, request

    def test_posts_json(self):
        _, request = self.deliver(make_response(200))
        assert isinstance(request, Request)
        assert request.method == "POST"
        assert request.headers["Content-Type"] == "application/json"
        assert json.loads(request.body)

    @pytest.mark.parametrize("text", ["", "ok", "<html>", '{"error": {"code": "x"}}', "\x00\ud7ff"])
    def test_each_status_has_an_outcome(self, text):
        outcomes = {status: self.deliver(make_response(status, text))[0] for status in range(200, 600)}
        assert {type(outcome) for outcome in outcomes.values()} <= {Sent, Later, Refused, Dead}
        sent = {status for status, outcome in outcomes.items() if isinstance(outcome, Sent)}
        assert sent == (self.accepted if text == self.acceptance or not self.acceptance else set())
        assert {status for status, outcome in outcomes.items() if outcome in self.certainly_dead(outcomes)} == self.dead
        later = {status for status, outcome in outcomes.items() if isinstance(outcome, Later)}
        assert later == {408, 425, 429, *range(500, 600), *(self.accepted - sent)}
        for status in (400, 413, 422):
            assert isinstance(outcomes[status], Refused)
        for status in (301, 307, 401, 402, 405, 407, 451):
            assert isinstance(outcomes[status], Dead)

    @staticmethod
    def certainly_dead(outcomes):
        return [outcome for outcome in outcomes.values() if isinstance(outcome, Dead) and outcome.is_certain]

    def test_a_reason_is_one_line_that_begins_with_the_status(self):
        outcome, _ = self.deliver(make_response(400, "bad\r\n\x1b[31m\u202ething " + "x" * 1_000))
        assert outcome.reason.startswith("400 bad [31mthing xxx")
        assert len(outcome.reason) < 300

    @pytest.mark.parametrize("status", [408, 425, 429, 503])
    @pytest.mark.parametrize(
        ("text", "seconds"),
        [("0", 0), ("7", 7), ("86400", MAX_PAUSE.total_seconds()), ("9" * 9, MAX_PAUSE.total_seconds())],
    )
    def test_waits_as_long_as_retry_after_says_but_at_most_an_hour(self, status, text, seconds):
        outcome, _ = self.deliver(make_response(status, retry_after=text))
        assert outcome.after == timedelta(seconds=seconds)

    @pytest.mark.parametrize(("minutes", "least", "most"), [(10, 590, 600), (600, 3_600, 3_600), (-10, 0, 0)])
    @pytest.mark.parametrize("is_gmt", [True, False])
    def test_waits_until_the_date_in_retry_after(self, minutes, least, most, is_gmt):
        date = format_datetime((timezone.now() + timedelta(minutes=minutes)).astimezone(UTC), usegmt=is_gmt)
        outcome, _ = self.deliver(make_response(429, retry_after=date.replace("+0000", "-0000")))
        assert least <= outcome.after.total_seconds() <= most

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "soon",
            "-1",
            "1.5",
            "9" * 10,
            "٣",
            "1e3",
            "Fri, 99 Foo 2026",
            f"Fri, 27 Nov 2026 16:40:00 +{'9' * 30}",
            "\x00",
        ],
    )
    def test_ignores_a_retry_after_that_is_neither(self, text):
        outcome, _ = self.deliver(make_response(429, retry_after=text))
        assert isinstance(outcome, Later)
        assert outcome.after is None

    def test_a_request_does_not_show_its_secrets(self):
        _, request = self.deliver(make_response(200))
        assert not [value for value in self.secrets() if value in repr(request)]
