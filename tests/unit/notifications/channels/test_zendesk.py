"""Tickets in Zendesk, in a fake that enforces what Zendesk documents.

Limits (read 2026-11-29): an idempotency key has at most 255 characters, and is rejected with another body
(https://developer.zendesk.com/api-reference/ticketing/introduction/#idempotency); a comment has about 65,000 characters
(https://support.zendesk.com/hc/en-us/community/posts/4719863289498-Commets-size); a closed ticket cannot be updated
(https://developer.zendesk.com/documentation/ticketing/managing-tickets/creating-and-updating-tickets).
"""

import json
import re
from base64 import b64decode
from html.parser import HTMLParser
from urllib.parse import parse_qs, urlsplit

import pytest

from logs.models.notifications import LIFETIME
from logs.notifications.channels.base import Dead, Later, Refused, Sent
from logs.notifications.guard import MAX_RESPONSE_BYTES, Request, Response
from tests.unit.notifications.channels.contract import (
    ID,
    PAGE_URL,
    RUN_URL,
    THREAD,
    HttpContract,
    make_content,
    make_response,
)

SETTINGS = {"subdomain": "acme", "email": "ci@example.com", "token": "S3cret" * 7}
TAGS = {"p", "ul", "li", "a"}
UPDATES = ("fixed", "alarm_over", "reminder")
CLOSED = {
    "error": "RecordInvalid",
    "description": "Record validation errors",
    "details": {"status": [{"description": "Status: closed prevents ticket update"}]},
}


class FakeZendesk:
    """An account with its tickets. It is called with a request and answers it."""

    def __init__(self):
        self.tickets = []
        self.requests = []
        self.keys = {}  # The body and the response of each key.

    def __call__(self, request):
        self.requests.append(request)
        url = urlsplit(request.url)
        assert (url.scheme, url.netloc, request.headers["Accept"]) == ("https", "acme.zendesk.com", "application/json")
        scheme, _, credentials = request.headers["Authorization"].partition(" ")
        expected = f"{SETTINGS['email']}/token:{SETTINGS['token']}"
        if (scheme, b64decode(credentials).decode()) != ("Basic", expected):
            return answer(401, {"error": "Couldn't authenticate you"})
        if request.method == "GET":
            return self._list(url)
        assert request.headers["Content-Type"] == "application/json"
        if request.method == "POST":
            assert url.path == "/api/v2/tickets.json"
            return self._create(request)
        assert request.method == "PUT"
        return self._update(int(re.fullmatch(r"/api/v2/tickets/(\d+)\.json", url.path)[1]), request)

    def _list(self, url):
        query = {name: value for name, [value] in parse_qs(url.query).items()}
        assert url.path == "/api/v2/tickets.json"
        assert (query["sort_by"], query["sort_order"]) == ("id", "desc")
        found = [ticket for ticket in self.tickets if ticket["external_id"] == query["external_id"]]
        shown = sorted(found, key=lambda ticket: -ticket["id"])[: int(query.get("per_page", 100))]
        return answer(200, {"tickets": shown, "count": len(found)})

    def _create(self, request):
        key = request.headers["Idempotency-Key"]
        assert 0 < len(key) <= 255
        if key in self.keys:
            body, response = self.keys[key]
            return response if body == request.body else answer(400, {"error": "IdempotentRequestError"})
        given = json.loads(request.body)["ticket"]
        assert 0 < len(given["subject"]) <= 150
        assert not [tag for tag in given["tags"] if not re.fullmatch("[a-z0-9_]+", tag)]
        check_comment(given["comment"])
        ticket = {"id": len(self.tickets) + 35436, "status": "new", "comments": [given["comment"]]}
        ticket |= {name: given[name] for name in ("subject", "external_id", "tags")}
        self.tickets.append(ticket)
        self.keys[key] = request.body, answer(201, {"ticket": ticket})
        return self.keys[key][1]

    def _update(self, number, request):
        given = json.loads(request.body)["ticket"]
        check_comment(given["comment"])
        ticket = next((each for each in self.tickets if each["id"] == number), None)
        if ticket is None:
            return answer(404, {"error": "RecordNotFound"})
        if ticket["status"] == "closed":
            return answer(422, CLOSED)
        ticket["comments"].append(given["comment"])
        ticket["status"] = given.get("status", ticket["status"])
        return answer(200, {"ticket": ticket})


def answer(status, document):
    return Response(status=status, headers={}, body=json.dumps(document).encode()[:MAX_RESPONSE_BYTES])


def check_comment(comment):
    assert set(comment) == {"html_body", "public"}
    assert comment["public"] is False
    assert 0 < len(comment["html_body"]) < 65_000


class Page(HTMLParser):
    """The tags, links and texts of a comment."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.links, self.shown = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        assert {name for name, _ in attrs} <= {"href"}
        self.links += [value for _, value in attrs]

    def handle_data(self, data):
        self.shown.append(data)


@pytest.fixture
def zendesk():
    return FakeZendesk()


class TestZendesk(HttpContract):
    kind = "zendesk"
    settings = SETTINGS
    accepted = {200, 201}
    dead = {401, 410}

    def wire(self, message):
        """Return the ticket that a message creates or updates; for a test, the request that finds none."""
        zendesk = FakeZendesk()
        if message.content.kind in UPDATES:
            zendesk(self.transport.request(self.make_message(thread=message.thread, id=1)))
        assert self.transport.deliver(message, zendesk)[0] == Sent()
        request = zendesk.requests[-1]
        return request.body or json.dumps({"look_up": request.url}).encode()

    def ticket(self, wire):
        return json.loads(wire).get("ticket", {})

    def page(self, wire):
        return Page(self.ticket(wire).get("comment", {}).get("html_body", ""))

    def urls(self, wire):
        return self.page(wire).links

    def check_limits(self, wire):
        # The fake asserts the others. A look-up, which returns the comment, must not be longer than what is read.
        assert len(wire) < 45_000

    def check_inert(self, wire):
        page, ticket = self.page(wire), self.ticket(wire)
        assert set(page.tags) <= TAGS
        for text in [*page.shown, ticket.get("subject", "")]:
            assert "\n" not in text
            assert not re.search(r"\{[{%]", text)

    def send(self, zendesk, kind="broke", **overrides):
        return self.transport.deliver(self.make_message(make_content(kind), **overrides), zendesk)

    def statuses(self, zendesk):
        return [(ticket["status"], len(ticket["comments"])) for ticket in zendesk.tickets]

    def test_a_breakage_creates_a_ticket(self):
        request = self.transport.request(self.make_message())
        assert request.url == "https://acme.zendesk.com/api/v2/tickets.json"
        assert request.headers["Idempotency-Key"] == f"{THREAD}-{ID}"
        assert json.loads(request.body) == {
            "ticket": {
                "subject": "acme/orchard: build broke on main",
                "comment": {
                    "html_body": "<p>build broke on main</p><ul><li>Project: acme/orchard</li>"
                    "<li>Failed jobs: lint, test</li>"
                    "<li>First failing commit: 1a2b3c4 Prune the apple trees &lt;3</li><li>Author: Ada</li>"
                    "<li>State: Failing since 2026-11-27 16:40 UTC</li></ul>"
                    f'<p><a href="{RUN_URL}">Open in CircleCI</a></p>'
                    f'<p><a href="{PAGE_URL}">Open in webhooklog</a></p>',
                    "public": False,
                },
                "external_id": THREAD,
                "tags": ["webhooklog", "webhooklog_broke"],
            }
        }

    def test_a_repeated_request_creates_no_second_ticket(self, zendesk):
        assert self.send(zendesk) == self.send(zendesk) == (Sent(), 201)
        assert self.statuses(zendesk) == [("new", 1)]

    def test_the_same_id_at_another_site_creates_its_own_ticket(self, zendesk):
        self.send(zendesk)
        self.send(zendesk, thread="wl-0b7d41c2e9a85f36")
        assert len(zendesk.tickets) == 2

    @pytest.mark.parametrize(("beginning", "end"), [("broke", "fixed"), ("alarm", "alarm_over")])
    def test_an_end_comments_on_the_ticket_and_solves_it(self, zendesk, beginning, end):
        self.send(zendesk, beginning)
        assert self.send(zendesk, end, id=ID + 1) == (Sent(), 200)
        assert self.statuses(zendesk) == [("solved", 2)]

    def test_a_repeated_end_adds_no_second_comment(self, zendesk):
        self.send(zendesk)
        for _ in range(2):
            assert self.send(zendesk, "fixed", id=ID + 1) == (Sent(), 200)
        assert self.statuses(zendesk) == [("solved", 2)]

    def test_an_end_only_comments_if_this_is_selected(self, zendesk):
        settings = SETTINGS | {"on_fixed": "comment"}
        self.send(zendesk, settings=settings)
        self.send(zendesk, "fixed", id=ID + 1, settings=settings)
        assert self.statuses(zendesk) == [("new", 2)]

    def test_a_reminder_comments_on_the_open_ticket(self, zendesk):
        self.send(zendesk)
        assert self.send(zendesk, "reminder", id=ID + 1) == (Sent(), 200)
        assert self.statuses(zendesk) == [("new", 2)]

    @pytest.mark.parametrize("status", ["solved", "closed"])
    def test_a_new_breakage_creates_a_new_ticket_which_its_fix_solves(self, zendesk, status):
        self.send(zendesk)
        zendesk.tickets[0]["status"] = status
        self.send(zendesk, id=ID + 1)
        self.send(zendesk, "fixed", id=ID + 2)
        assert self.statuses(zendesk) == [(status, 1), ("solved", 2)]

    @pytest.mark.parametrize("status", ["solved", "closed"])
    def test_a_ticket_that_an_agent_has_solved_stays_as_it_is(self, zendesk, status):
        self.send(zendesk)
        zendesk.tickets[0]["status"] = status
        assert self.send(zendesk, "fixed", id=ID + 1) == (Sent(), 200)
        reminder, _ = self.send(zendesk, "reminder", id=ID + 2)
        assert reminder == Refused(reason=f"no open ticket has the external ID {THREAD}")
        assert self.statuses(zendesk) == [(status, 1)]

    @pytest.mark.parametrize(("kind", "outcome"), [("fixed", Sent), ("reminder", Refused)])
    def test_a_ticket_may_be_closed_after_the_look_up(self, zendesk, kind, outcome):
        def close_after_look_up(request):
            response = zendesk(request)
            zendesk.tickets[0]["status"] = "closed"
            return response

        self.send(zendesk)
        message = self.make_message(make_content(kind), id=ID + 1)
        found, status = self.transport.deliver(message, close_after_look_up)
        assert (type(found), status) == (outcome, 422)
        assert [request.method for request in zendesk.requests] == ["POST", "GET", "PUT"]

    def test_another_error_of_an_update_is_shown(self, zendesk):
        def require_a_field(request):
            text = "Assignee: is required when solving a ticket"
            return make_response(422, text) if request.method == "PUT" else zendesk(request)

        self.send(zendesk)
        message = self.make_message(make_content("fixed"), id=ID + 1)
        outcome, status = self.transport.deliver(message, require_a_field)
        assert (outcome, status) == (Refused(reason="422 Assignee: is required when solving a ticket"), 422)

    def test_a_test_checks_the_token_and_creates_nothing(self, zendesk):
        assert self.send(zendesk, "test") == (Sent(), 200)
        outcome, status = self.send(zendesk, "test", settings=SETTINGS | {"token": "wrong" * 8})
        assert (type(outcome), outcome.is_certain, status) == (Dead, True, 401)
        assert [request.method for request in zendesk.requests] == ["GET", "GET"]
        assert zendesk.tickets == []

    @pytest.mark.parametrize("kind", ["fixed", "test"])
    def test_a_look_up_that_fails_updates_nothing(self, kind):
        requests = []
        outcome, status = self.send(lambda request: requests.append(request) or make_response(503), kind)
        assert (type(outcome), status, len(requests)) == (Later, 503, 1)

    @pytest.mark.parametrize(
        "text", ["", "<html>", "[]", "{}", "null", '{"tickets": null}', '{"tickets": [1]}', '{"tickets": [{"id": 1}]}']
    )
    def test_a_look_up_that_cannot_be_read_is_repeated(self, text):
        outcome, _ = self.send(lambda _: make_response(200, text), "fixed")
        assert outcome == Later(reason="200: the response is not a list of tickets")

    def test_a_list_that_is_not_filtered_changes_no_other_ticket(self):
        requests = []

        def list_all(request):
            requests.append(request)
            return answer(200, {"tickets": [{"id": 1, "status": "open", "external_id": None}]})

        assert self.send(list_all, "fixed") == (Sent(), 200)
        assert len(requests) == 1

    def test_the_look_up_of_a_branch_with_many_tickets_is_short(self, zendesk):
        for number in range(200):
            self.send(zendesk, id=number)
        assert len(zendesk(self.last_look_up(zendesk)).body) < MAX_RESPONSE_BYTES / 4

    def last_look_up(self, zendesk):
        self.send(zendesk, "reminder", id=ID)
        return next(request for request in reversed(zendesk.requests) if request.method == "GET")

    @pytest.mark.parametrize(
        "value", ["acme.zendesk.com", "https://acme", "evil.example/", "acme@evil", "-a", "a" * 64]
    )
    def test_the_subdomain_leads_nowhere_else(self, value):
        [field] = [field for field in self.transport.fields if field.name == "subdomain"]
        assert re.fullmatch(field.pattern, "acme-2")
        assert not re.fullmatch(field.pattern, value)

    def test_is_never_combined_and_gets_reminders(self):
        assert not self.transport.is_combined
        assert self.transport.opens_incidents
        assert self.transport.is_reminded
        assert self.transport.lifetime == LIFETIME

    def test_each_request_can_be_sent(self, zendesk):
        for kind in ("broke", "reminder", "fixed", "test"):
            self.send(zendesk, kind)
        assert all(isinstance(request, Request) for request in zendesk.requests)
        assert not [request for request in zendesk.requests if SETTINGS["token"] in repr(request)]
