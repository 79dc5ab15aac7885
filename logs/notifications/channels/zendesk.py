"""Zendesk: a breakage or an alarm creates a ticket, and its end comments on the ticket and solves it.

Sources (read 2026-11-29):
    https://developer.zendesk.com/api-reference/ticketing/tickets/tickets/ (create, update, list by external_id)
    https://developer.zendesk.com/api-reference/ticketing/introduction/#idempotency (for two hours)
    https://developer.zendesk.com/api-reference/introduction/requests (headers, statuses)
    https://developer.zendesk.com/api-reference/introduction/rate-limits (429, Retry-After)
    https://developer.zendesk.com/documentation/ticketing/managing-tickets/creating-and-updating-tickets (closed)
    https://developer.zendesk.com/rest_api/docs/core/ticket_comments (html_body, public)
    https://support.zendesk.com/hc/en-us/articles/203662156 (placeholders: {{ticket.id}})
    https://support.zendesk.com/hc/en-us/community/posts/4719863289498-Commets-size (about 65,000 characters)
"""

import json
import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from django.utils.html import format_html, format_html_join

from logs.models.notifications import LIFETIME, NotificationKind
from logs.notifications.channels.base import (
    Field,
    Later,
    Message,
    Outcome,
    Refused,
    Sent,
    Transport,
    json_request,
    line,
    plain,
    some_facts,
    web_links,
)
from logs.notifications.content import Content
from logs.notifications.guard import Request, Response

# Below the limit of a comment. The look-up returns the first one, and reads at most 64 KiB.
MAX_SUBJECT, MAX_HEADLINE, MAX_FACTS, MAX_NAME, MAX_VALUE = 150, 500, 15, 100, 300
UPDATES = (NotificationKind.FIXED, NotificationKind.ALARM_OVER, NotificationKind.REMINDER)
DONE = ("solved", "closed")
CLOSED = "closed prevents ticket update"  # In Zendesk's response to an update of a closed ticket.
SOLVE, COMMENT = "solve", "comment"
PLACEHOLDER = re.compile(r"\{(?=[{%])")  # Zendesk replaces {{…}} and {%…%}.


class ZendeskTransport(Transport):
    """Creates one ticket per breakage and per alarm, with the thread as external_id.

    A test looks for a ticket that does not exist: Zendesk checks the token, and no agent gets work.
    """

    kind = "zendesk"
    title = "Zendesk"
    is_combined = False
    opens_incidents = True
    lifetime = LIFETIME
    accepted = (200, 201)
    dead = (401, 410)
    fields = [
        # The token goes to a subdomain of zendesk.com only, not to a server of the administrator's choice.
        Field(
            name="subdomain",
            label="Subdomain",
            help_text="The first part of your account's URL: acme for https://acme.zendesk.com.",
            pattern=r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?",
            invalid="Enter only the subdomain: acme for https://acme.zendesk.com",
        ),
        Field(
            name="email",
            label="Agent's e-mail address",
            help_text="The agent who creates the tickets and writes the comments.",
            pattern=r"[^\s@:/\"<>]+@[^\s@:/\"<>]+",
            invalid="Enter the e-mail address of an agent: ci@example.com",
        ),
        Field(
            name="token",
            label="API token",
            help_text="In Zendesk: Admin Center › Apps and integrations › APIs › API tokens. A test creates no ticket.",
            is_secret=True,
            pattern=r"[A-Za-z0-9_-]{20,200}",
            invalid="Enter an API token: letters and digits, without the e-mail address.",
        ),
        Field(
            name="on_fixed",
            label="When it is fixed",
            choices=[(SOLVE, "Comment and solve the ticket"), (COMMENT, "Only comment")],
            default=SOLVE,
        ),
    ]

    def request(self, message: Message) -> Request:
        """Return the request that creates a ticket. Zendesk ignores its repetition within two hours."""
        ticket = {
            "subject": _inert(message.content.subject, MAX_SUBJECT),
            "comment": _comment(message.content),
            "external_id": message.thread,
            "tags": ["webhooklog", f"webhooklog_{message.content.kind}"],
        }
        request = _ticket_request(message, "/api/v2/tickets.json", ticket)
        # Several sites may use one account: their threads differ.
        key = f"{message.thread}-{message.id}"
        return replace(request, headers={**request.headers, "Idempotency-Key": key})

    def deliver(self, message: Message, send: Callable[[Request], Response]) -> tuple[Outcome, int | None]:
        """Create a ticket, or look for the open one and update it; return the outcome and the HTTP status."""
        kind = message.content.kind
        if kind not in (*UPDATES, NotificationKind.TEST):
            return super().deliver(message, send)
        found = send(_look_up(message))
        outcome = self.outcome(found)
        if kind == NotificationKind.TEST or not isinstance(outcome, Sent):
            return outcome, found.status
        try:
            ticket_id = _open_ticket(found, message.thread)
        except (ValueError, KeyError, TypeError):
            return Later(reason=f"{found.status}: the response is not a list of tickets"), found.status
        if ticket_id is None:
            return _nothing_open(message), found.status
        response = send(_update(message, ticket_id))
        if response.status == 422 and CLOSED in response.text:
            return _nothing_open(message), response.status
        return self.outcome(response), response.status


def _look_up(message: Message) -> Request:
    """Return the request for the newest ticket of the thread. All its tickets could be longer than what is read."""
    query = {"external_id": message.thread, "sort_by": "id", "sort_order": "desc", "per_page": "1"}
    url = f"{_base_url(message.settings)}/api/v2/tickets.json?{urlencode(query)}"
    return Request(url=url, body=b"", headers=_headers(message.settings), method="GET")


def _open_ticket(response: Response, thread: str) -> int | None:
    """Return the id of the open ticket in a list; None if there is none.

    Raises:
        ValueError, KeyError, TypeError: it is not a list of tickets.
    """
    open_tickets = [
        int(ticket["id"])
        for ticket in json.loads(response.text)["tickets"]
        # Without the first condition, a list that is not filtered would solve a stranger's ticket.
        if ticket["external_id"] == thread and ticket["status"] not in DONE
    ]
    return max(open_tickets, default=None)


def _nothing_open(message: Message) -> Outcome:
    if message.content.kind == NotificationKind.REMINDER:
        return Refused(reason=f"no open ticket has the external ID {message.thread}")
    return Sent()  # An agent has solved or deleted it.


def _update(message: Message, ticket_id: int) -> Request:
    """Return the request that comments on a ticket, and solves it if the message is an end."""
    ticket: dict[str, Any] = {"comment": _comment(message.content)}
    is_end = message.content.kind != NotificationKind.REMINDER
    if is_end and message.settings.get("on_fixed") != COMMENT:
        ticket["status"] = "solved"
    return replace(_ticket_request(message, f"/api/v2/tickets/{ticket_id}.json", ticket), method="PUT")


def _ticket_request(message: Message, path: str, ticket: Mapping[str, Any]) -> Request:
    return json_request(f"{_base_url(message.settings)}{path}", {"ticket": ticket}, **_headers(message.settings))


def _base_url(settings: Mapping[str, str]) -> str:
    return f"https://{settings['subdomain']}.zendesk.com"


def _headers(settings: Mapping[str, str]) -> dict[str, str]:
    credentials = b64encode(f"{settings['email']}/token:{settings['token']}".encode()).decode()
    return {"Accept": "application/json", "Authorization": f"Basic {credentials}"}


def _comment(content: Content) -> dict[str, Any]:
    """Return an internal note: no requester gets an e-mail. It is HTML, because Zendesk may read text as Markdown."""
    facts = [(_inert(name, MAX_NAME), _inert(value, MAX_VALUE)) for name, value in some_facts(content, MAX_FACTS)]
    body = format_html(
        "<p>{}</p><ul>{}</ul>{}",
        _inert(content.headline, MAX_HEADLINE),
        format_html_join("", "<li>{}: {}</li>", facts),
        format_html_join(
            "", '<p><a href="{}">{}</a></p>', ((url, _inert(title, MAX_NAME)) for title, url in web_links(content))
        ),
    )
    return {"html_body": body, "public": False}


def _inert(text: str, length: int) -> str:
    """Return one line of text without placeholders."""
    return line(PLACEHOLDER.sub("{ ", plain(text)), length)
