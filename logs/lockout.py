"""Count failed sign-ins and reject passwords beyond the hashing limit, without delaying deliveries."""

from collections.abc import Callable
from typing import Any

from axes.handlers.database import AxesDatabaseHandler
from axes.helpers import get_client_username
from axes.models import AccessAttempt
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render

from logs.hashing import RETRY_AFTER_SECONDS, TooManyPasswords
from logs.http.client import counted_address
from logs.networks import network_address
from logs.transactions import durable_transaction


class QueuedLockoutHandler(AxesDatabaseHandler):  # type: ignore[misc]  # Axes has no types.
    """Writes a failure in one transaction, when it is this process's turn to write to SQLite.

    On its own, Axes takes SQLite's lock several times per failure and bypasses the delivery queue.
    """

    def user_login_failed(
        self, sender: Any, credentials: dict[str, Any], request: HttpRequest | None = None, **kwargs: Any
    ) -> None:
        """Count a failure; during a lockout, write nothing, because guesses would delay deliveries."""
        if getattr(request, "axes_locked_out", False):
            return
        with durable_transaction():
            super().user_login_failed(sender, credentials, request, **kwargs)

    def reset_user_attempts(self, request: HttpRequest, credentials: dict[str, Any] | None = None) -> int:
        """Delete a client's failures for the account that it has just signed in to; return the number of deleted rows.

        Axes would delete all of the client's failures. A client that signed in to its own account between guesses at
        other accounts would then never be locked out.
        """
        username = get_client_username(request, credentials)
        count, _ = AccessAttempt.objects.filter(ip_address=counted_address(request), username=username).delete()
        return int(count)

    def reset_attempts(self, *, ip_address: str | None = None, **kwargs: Any) -> int:
        """Delete a client's failures, given any IP address in its /64; return the number of deleted rows."""
        return super().reset_attempts(ip_address=network_address(ip_address), **kwargs)  # type: ignore[no-any-return]


class TooManyPasswordsMiddleware:
    """Returns a 429 page for a form whose password could not be hashed immediately."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Pass the request on."""
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Return the 429 page for `TooManyPasswords`; None for any other exception, which is left to Django."""
        if not isinstance(exception, TooManyPasswords):
            return None
        response = render(request, "429.html", status=429)
        response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
        return response
