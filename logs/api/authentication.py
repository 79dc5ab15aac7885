"""Authenticate CircleCI by the signature of what it sends."""

from dataclasses import dataclass

from django.contrib.auth.models import AnonymousUser
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from logs.api.arrivals import read_arrival
from logs.api.errors import http_error
from logs.exceptions import SignatureRefused
from logs.ingest.pipeline import Arrival, Sender, authenticate, keep_refused
from logs.models import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthenticDelivery:
    """What ``request.auth`` is after `CircleCISignatureAuthentication`."""

    arrival: Arrival
    sender: Sender


class CircleCISignatureAuthentication(BaseAuthentication):
    """Accepts a request that one of the configured webhooks has signed, and keeps every other one as unverified."""

    def authenticate(self, request: Request) -> tuple[AnonymousUser, AuthenticDelivery]:
        """Return the delivery as ``auth``; there is no user behind it.

        Raises:
            AuthenticationFailed: nothing proves that CircleCI sent it.
        """
        arrival = read_arrival(request._request, request.parser_context["kwargs"].get("webhook"))
        try:
            sender = authenticate(arrival)
        except SignatureRefused as error:
            keep_refused(arrival, Outcome.UNVERIFIED, str(error))
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
