"""CircleCI's endpoint: read an HTTP request, authenticate it by its signature, record it, respond."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.core.handlers.exception import response_for_exception
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse
from django.http.request import HttpHeaders
from django.utils import timezone
from rest_framework import serializers
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from logs.api.errors import database_error_response, http_error
from logs.api.negotiation import FirstRenderer
from logs.circleci.vocabulary import KEPT_HEADERS
from logs.exceptions import BodyTooLarge, BodyUnreadable, ContentTypeRefused, EncodingRefused, WebhookLogError
from logs.http.client import client_address
from logs.http.request_id import HEADER as REQUEST_ID_HEADER
from logs.http.request_id import assign_id, current
from logs.ingest import threads
from logs.ingest.answers import ANSWERS
from logs.ingest.pipeline import authenticate, keep_refused, record, record_on_loop
from logs.ingest.records import Arrival, Sender, Verdict

MAX_HEADER_LENGTH = 1000
MAX_SLUG_LENGTH = 255
MAX_SHOWN_LENGTH = 100
# Stored headers by their WSGI names. `request.headers` would first build a dictionary of all headers.
WSGI_NAMES = {name: HttpHeaders.to_wsgi_name(name) for name in KEPT_HEADERS}


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthenticDelivery:
    """The value of ``request.auth`` after `CircleCISignatureAuthentication`."""

    arrival: Arrival
    sender: Sender


class UnauthenticDelivery(Exception):
    """A delivery that `CircleCISignatureAuthentication` refuses."""

    def __init__(self, arrival: Arrival, error: WebhookLogError) -> None:
        super().__init__(str(error))
        self.arrival, self.error = arrival, error


class CircleCISignatureAuthentication(BaseAuthentication):
    """Accepts requests signed by a configured webhook."""

    def authenticate(self, request: Request) -> tuple[AnonymousUser, AuthenticDelivery]:
        """Return the delivery as ``auth``; a delivery has no user.

        Raises:
            UnauthenticDelivery: no signature proves that CircleCI sent the request, or the body is not JSON, too large,
                compressed or incomplete.
        """
        slug = request.parser_context["kwargs"].get("webhook")
        try:
            arrival = arrival_of(request._request, slug, read_body(request._request))
        except WebhookLogError as error:
            raise UnauthenticDelivery(arrival_of(request._request, slug), error) from error
        try:
            sender = authenticate(arrival)
        except WebhookLogError as error:
            raise UnauthenticDelivery(arrival, error) from error
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
        """Authenticate; reject other methods before the body is read or anything is stored.

        There is no format, version or rate limit to determine, as REST framework's method does.
        """
        if request.method != "POST":
            raise MethodNotAllowed(request.method or "")
        self.perform_authentication(request)
        self.check_permissions(request)

    async def respond(self, django_request: HttpRequest, **kwargs: Any) -> HttpResponse:
        """Do what `dispatch` does, on the event loop; only database work and errors are handled in threads."""
        self.args, self.kwargs = (), kwargs  # REST framework reads them to initialize the request.
        self.headers = self.default_response_headers
        self.request = request = self.initialize_request(django_request, **kwargs)
        try:
            self.initial(request, **kwargs)
            delivery = cast("AuthenticDelivery", request.auth)
            response = receipt(await record_on_loop(delivery.arrival, delivery.sender))
        except UnauthenticDelivery as error:
            response = await threads.refused.run(self.handle_exception, error)
        except Exception as error:  # noqa: BLE001 - REST framework's dispatch passes on every error too
            response = self.handle_exception(error)
        return self.finalize_response(request, response, **kwargs)  # type: ignore[arg-type]  # Any response will do.

    def post(self, request: Request, webhook: str | None = None) -> HttpResponse:
        """Log the delivery in this thread: under WSGI, or if its body is large."""
        delivery = cast("AuthenticDelivery", request.auth)
        return receipt(record(delivery.arrival, delivery.sender))

    def handle_exception(self, exc: Exception) -> Response:
        """Return the response to an error, and store a delivery that is not authentic."""
        if isinstance(exc, UnauthenticDelivery):
            try:
                keep_refused(exc.arrival, exc.error)
                exc = http_error(exc.error)
            except (DatabaseError, InterfaceError) as error:
                exc = error
        return super().handle_exception(exc)


_respond_in_thread: Callable[..., HttpResponse] = ReceiveWebhookView.as_view()


async def respond_to_webhook(request: HttpRequest, *, is_large: bool, webhook: str | None = None) -> HttpResponse:
    """Return the response to a webhook, on the event loop and without middleware.

    A webhook needs no session, CSRF token, message or page policy.

    Args:
        request: a request with its whole body.
        is_large: whether the body would keep the event loop busy for milliseconds.
        webhook: the last part of a webhook's own URL; None for the shared URL.
    """
    request_id = assign_id(request)
    response: HttpResponse
    try:
        request.get_host()  # Like CommonMiddleware, reject hosts that are not in ALLOWED_HOSTS.
        if is_large:
            response = await threads.authentic.run(partial(_respond_in_thread, request, webhook=webhook))
        else:
            response = await ReceiveWebhookView().respond(request, webhook=webhook)
    except Exception as error:  # noqa: BLE001 - Django turns every error into a response too
        response = database_error_response(error) or response_for_exception(request, error)
    if isinstance(response, Response):  # An error; REST framework returns it unrendered.
        response.render()
    response.headers[REQUEST_ID_HEADER] = request_id
    response.headers["X-Content-Type-Options"] = "nosniff"  # Browsers must not treat it as a page.
    return response


def receipt(verdict: Verdict) -> HttpResponse:
    """Return the response to a delivery that was recorded."""
    status, message = verdict.answer
    # The fields of ReceiptSerializer; an instance of it would cost more than the rest of the response.
    content = json.dumps({"message": message, "id": verdict.event_id, "outcome": verdict.outcome})
    return HttpResponse(content, status=status, content_type="application/json")


def arrival_of(request: HttpRequest, webhook_slug: str | None, body: bytes | None = None) -> Arrival:
    """Return the arrival for a request; `body` is None if it was not read."""
    return Arrival(
        received_at=timezone.now(),
        webhook_slug=(webhook_slug or "")[:MAX_SLUG_LENGTH],
        headers={
            name: request.META[key][:MAX_HEADER_LENGTH].replace("\x00", "\N{REPLACEMENT CHARACTER}")
            for name, key in WSGI_NAMES.items()
            if key in request.META
        },
        client_address=client_address(request),
        body=body or b"",
        body_length=None if body is None else len(body),
        request_id=current.get(),
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
