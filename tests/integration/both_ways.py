"""Send the same requests to the event loop and to the WSGI application, and compare what they cause."""

import io
import json
from dataclasses import dataclass, field

from django.test import Client

from logs.circleci import samples
from logs.models import Delivery, WorkflowEvent
from tests.conftest import SECRET
from tests.integration.on_loop import Exchange, answers

PATH = "/log-circleci-webhook"
COMPARED_HEADERS = ("content-type", "allow", "www-authenticate", "retry-after", "accept-encoding")
COMPARED_HEADERS += ("x-content-type-options", "location")
TIMES_AND_KEYS = ("id", "received_at", "judged_at", "changed_at", "event_id", "response_seconds", "request_id")


class BrokenInput(io.BytesIO):
    """The body of a chunked request whose client leaves."""

    def read(self, size=None):
        raise ConnectionError("the client has left")


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request, before it is sent in one of the two ways."""

    body: bytes = b""
    path: str = PATH
    method: str = "POST"
    headers: dict = field(default_factory=dict)
    is_chunked: bool = False
    is_cut: bool = False  # The client leaves before the end of the body.

    @property
    def length_headers(self):
        if self.is_chunked:
            return {"transfer-encoding": "chunked"}
        return {"content-length": str(len(self.body) + self.is_cut)}

    def to_loop(self):
        """Return what the event loop answers."""
        half = len(self.body) // 2
        chunks = [self.body[:half], self.body[half:]]
        headers = self.headers | self.length_headers
        exchange = Exchange(self.method, self.path, chunks=chunks, headers=headers, leaves=self.is_cut)
        return answers(exchange)[0]

    def to_wsgi(self):
        """Return what the WSGI application answers, behind a server that decodes chunks."""
        headers = dict(self.headers)
        environ = {"wsgi.input": io.BytesIO(self.body)}
        if "content-type" in headers:
            environ["CONTENT_TYPE"] = headers.pop("content-type")
        if self.is_chunked:
            environ |= {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}
            if self.is_cut:
                environ["wsgi.input"] = BrokenInput()
        else:
            environ["CONTENT_LENGTH"] = self.length_headers["content-length"]
        client = Client(raise_request_exception=False)
        return client.generic(self.method, self.path, content_type="", headers=headers, **environ)


def webhook(document, *, secret=SECRET, headers=None, **options):
    """Return CircleCI's request for a payload (a document or bytes); a header that is None is left out."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    kind = document if isinstance(document, dict) else {"type": "workflow-completed"}
    sent = samples.headers(body, kind, secret) | (headers or {})
    present = {name: value for name, value in sent.items() if value is not None}
    return Request(body=body, headers=present, **options)


def effects(requests, *, on_loop):
    """Send requests one after the other to an empty log, and return the answers and the rows that they leave."""
    Delivery.objects.all().delete()
    WorkflowEvent.objects.all().delete()
    found = [_comparable(request, request.to_loop() if on_loop else request.to_wsgi()) for request in requests]
    events = [_columns(event) for event in WorkflowEvent.objects.order_by("event_id")]
    deliveries = [
        _columns(delivery) | {"event": delivery.event and delivery.event.event_id}
        for delivery in Delivery.objects.select_related("event").order_by("pk")
    ]
    return found, events, deliveries


def _comparable(request, answer):
    headers = {name.lower(): value for name, value in answer.headers.items()}
    assert "x-request-id" in headers
    is_json = headers["content-type"] == "application/json" and request.method != "HEAD"  # gunicorn leaves it out.
    content = json.loads(answer.content) if is_json else None
    return answer.status_code, content, {name: headers[name] for name in COMPARED_HEADERS if name in headers}


def _columns(row):
    values = {key: value for key, value in vars(row).items() if not key.startswith("_") and key not in TIMES_AND_KEYS}
    if isinstance(row, Delivery):
        values["body"] = bytes(row.body)
    return values | ({"named": row.event_id} if isinstance(row, WorkflowEvent) else {})
