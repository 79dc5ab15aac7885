"""Route CircleCI's requests around the middleware that only browsers need."""

import logging
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import ResolverMatch
from rest_framework.response import Response

from logs.api.urls import receiving
from logs.circleci.vocabulary import SIGNATURE_HEADER
from logs.http.errors import where_webhooks_go, wrong_url

logger = logging.getLogger(__name__)


class WebhooksFirstMiddleware:
    """Passes a webhook directly to its view.

    A webhook needs no session, CSRF token, message or page policy, and each of them takes time.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Handle a webhook, or pass the request on."""
        for pattern in receiving:
            match = pattern.resolve(request.path_info[1:])
            if match:
                return _answer(request, match)
        if request.method == "POST" and SIGNATURE_HEADER in request.headers:
            return _answer_elsewhere(request)
        return self.get_response(request)


def _answer(request: HttpRequest, match: ResolverMatch) -> HttpResponseBase:
    request.get_host()  # Like CommonMiddleware, reject hosts that are not in ALLOWED_HOSTS.
    response: HttpResponseBase = match.func(request, *match.args, **match.kwargs)
    if isinstance(response, Response):  # An error; REST framework returns it unrendered.
        response.render()
    response.headers["X-Content-Type-Options"] = "nosniff"  # Browsers must not treat it as a page.
    return response


def _answer_elsewhere(request: HttpRequest) -> HttpResponse:
    """Reject a webhook sent to a path that does not receive webhooks; only the server's log records it."""
    host = request.get_host()
    logger.warning("a webhook arrived at %r on %s, so its URL is wrong: %s", request.path, host, where_webhooks_go())
    return wrong_url(request)
