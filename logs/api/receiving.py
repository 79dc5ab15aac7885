"""CircleCI's endpoint: read an HTTP request, authenticate it by its signature, record it, respond."""

import json
from dataclasses import dataclass, replace
from typing import Any, cast

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse
from django.http.request import HttpHeaders
from django.utils import timezone
from rest_framework import serializers
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from logs.api.errors import http_error
from logs.api.negotiation import FirstRenderer
from logs.circleci.vocabulary import KEPT_HEADERS
from logs.exceptions import BodyTooLarge, BodyUnreadable, ContentTypeRefused, EncodingRefused, WebhookLogError
from logs.http.client import client_address
from logs.ingest.pipeline import authenticate, keep_refused, record
from logs.ingest.records import Arrival, Sender
from logs.models import Outcome

MAX_HEADER_LENGTH = 1000
MAX_SLUG_LENGTH = 255
MAX_SHOWN_LENGTH = 100
# Stored headers by their WSGI names. `request.headers` would first build a dictionary of all headers.
WSGI_NAMES = {name: HttpHeaders.to_wsgi_name(name) for name in KEPT_HEADERS}

# The status and the message of the response for each outcome.
# fmt: off
ANSWERS = {
    Outcome.LOGGED:    (201, "Webhook Event successfully logged"),
    Outcome.UPDATED:   (200, "Webhook Event updated to its newer version"),
    Outcome.DUPLICATE: (200, "Webhook Event was already logged"),
    Outcome.PING:      (200, "Ping received"),
    Outcome.EXPIRED:   (200, "Webhook Event is older than the log keeps events"),
}
# fmt: on


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthenticDelivery:
    """The value of ``request.auth`` after `CircleCISignatureAuthentication`."""

    arrival: Arrival
    sender: Sender


class CircleCISignatureAuthentication(BaseAuthentication):
    """Accepts requests signed by a configured webhook, and stores every other request as refused."""

    def authenticate(self, request: Request) -> tuple[AnonymousUser, AuthenticDelivery]:
        """Return the delivery as ``auth``; a delivery has no user.

        Raises:
            AuthenticationFailed: no signature proves that CircleCI sent the request.
            APIException: the body is not JSON, too large, compressed or incomplete.
        """
        arrival = arrival_without_body(request._request, request.parser_context["kwargs"].get("webhook"))
        try:
            body = read_body(request._request)
            arrival = replace(arrival, body=body, body_length=len(body))
            sender = authenticate(arrival)
        except WebhookLogError as error:
            keep_refused(arrival, error)
            raise http_error(error) from error
        return AnonymousUser(), AuthenticDelivery(arrival=arrival, sender=sender)

    def authenticate_header(self, request: Request) -> str:
        """Return the scheme; without it, REST framework would return 403 instead of 401."""
        return 'CircleCI-Signature realm="webhooks"'


class IsAuthenticDelivery(BasePermission):
    """Allows requests that `CircleCISignatureAuthentication` has accepted."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Return whether the request is an authentic delivery."""
        return isinstance(request.auth, AuthenticDelivery)


class ReceiptSerializer(serializers.Serializer[Any]):
    """The response to CircleCI."""

    message = serializers.CharField(help_text="The outcome in words.")
    id = serializers.CharField(help_text="The event's id.")
    outcome = serializers.ChoiceField(choices=[str(outcome) for outcome in ANSWERS], help_text="The outcome.")


class ReceiveWebhookView(APIView):
    """Receives CircleCI's webhooks; returns 2xx for each authentic delivery, once it is committed."""

    http_method_names = ["post"]
    authentication_classes = [CircleCISignatureAuthentication]
    permission_classes = [IsAuthenticDelivery]
    content_negotiation_class = FirstRenderer

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Reject other methods before the body is read or anything is stored."""
        if request.method != "POST":
            raise MethodNotAllowed(request.method or "")
        super().initial(request, *args, **kwargs)

    def post(self, request: Request, webhook: str | None = None) -> HttpResponse:
        """Log the delivery."""
        delivery = cast("AuthenticDelivery", request.auth)
        verdict = record(delivery.arrival, delivery.sender)
        status, message = ANSWERS[verdict.outcome]
        # The fields of ReceiptSerializer; an instance of it would cost more than the rest of the response.
        receipt = json.dumps({"message": message, "id": verdict.event_id, "outcome": verdict.outcome})
        return HttpResponse(receipt, status=status, content_type="application/json")


def arrival_without_body(request: HttpRequest, webhook_slug: str | None) -> Arrival:
    """Return the arrival for a request whose body has not been read."""
    return Arrival(
        received_at=timezone.now(),
        webhook_slug=(webhook_slug or "")[:MAX_SLUG_LENGTH],
        headers={
            name: request.META[key][:MAX_HEADER_LENGTH].replace("\x00", "\N{REPLACEMENT CHARACTER}")
            for name, key in WSGI_NAMES.items()
            if key in request.META
        },
        client_address=client_address(request),
    )


def read_body(request: HttpRequest) -> bytes:
    """Return the raw body of a request.

    Raises:
        ContentTypeRefused: the content type is not JSON; a missing one counts as JSON.
        EncodingRefused: the body is compressed. A small compressed body could exhaust the memory when decoded.
        BodyTooLarge: the body is longer than MAX_BODY_BYTES.
        BodyUnreadable: the body ended before the length promised by the headers.
    """
    if request.content_type not in ("application/json", ""):
        raise ContentTypeRefused("the content type is not application/json")
    encoding = request.META.get("HTTP_CONTENT_ENCODING", "")
    if encoding.strip().lower() not in ("", "identity"):
        raise EncodingRefused(f"the content encoding is {encoding[:MAX_SHOWN_LENGTH]!r}: send the body uncompressed")
    # Django reads nothing without a Content-Length, and a proxy may have chunked the body. A server that decodes chunks
    # sets wsgi.input_terminated: its stream can be read to the end.
    is_chunked = "HTTP_TRANSFER_ENCODING" in request.META and request.META.get("wsgi.input_terminated")
    stream = request.META["wsgi.input"] if is_chunked else request
    limit = settings.MAX_BODY_BYTES
    try:
        body: bytes = stream.read(limit + 1)
    except Exception as error:
        # The connection broke or a chunk was malformed; each server raises its own exceptions.
        raise BodyUnreadable("the body is incomplete") from error
    if len(body) > limit:
        raise BodyTooLarge(f"the body is longer than {limit} bytes; see MAX_BODY_BYTES")
    promised = request.META.get("CONTENT_LENGTH") or ""
    if promised.isdecimal() and len(body) < int(promised):
        raise BodyUnreadable(f"the body is incomplete: {len(body)} of {promised} bytes arrived")
    return body
