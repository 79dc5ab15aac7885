"""Authenticate CircleCI by the signature of what it sends."""

from dataclasses import dataclass, replace

from django.contrib.auth.models import AnonymousUser
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from logs.api.arrivals import arrival_without_body, read_body
from logs.api.errors import http_error
from logs.exceptions import WebhookLogError
from logs.ingest.pipeline import authenticate, keep_refused
from logs.ingest.records import Arrival, Sender


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthenticDelivery:
    """What ``request.auth`` is after `CircleCISignatureAuthentication`."""

    arrival: Arrival
    sender: Sender


class CircleCISignatureAuthentication(BaseAuthentication):
    """Accepts a request that one of the configured webhooks has signed, and keeps every other one as refused."""

    def authenticate(self, request: Request) -> tuple[AnonymousUser, AuthenticDelivery]:
        """Return the delivery as ``auth``; there is no user behind it.

        Raises:
            AuthenticationFailed: nothing proves that CircleCI sent it.
            APIException: its body is not JSON, too large, or not whole.
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
        """Name the scheme; without it a refusal would be a 403."""
        return 'CircleCI-Signature realm="webhooks"'


class IsAuthenticDelivery(BasePermission):
    """Lets in what `CircleCISignatureAuthentication` has accepted."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Tell whether the request is an authentic delivery."""
        return isinstance(request.auth, AuthenticDelivery)
