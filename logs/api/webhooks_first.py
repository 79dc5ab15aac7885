"""Take CircleCI's requests past the middleware that only people and their browsers need."""

import logging
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import ResolverMatch
from rest_framework.response import Response

from logs.api.errors import where_webhooks_go, wrong_url
from logs.api.urls import receiving
from logs.circleci.vocabulary import SIGNATURE_HEADER

logger = logging.getLogger(__name__)


class WebhooksFirstMiddleware:
    """Hands a webhook to its view at once.

    Sessions, CSRF tokens, messages and policies for pages are nothing to it, and take time.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer a webhook, or pass the request on."""
        for address in receiving:
            match = address.resolve(request.path_info[1:])
            if match:
                return _answer(request, match)
        if request.method == "POST" and SIGNATURE_HEADER in request.headers:
            return _answer_elsewhere(request)
        return self.get_response(request)


def _answer(request: HttpRequest, match: ResolverMatch) -> HttpResponseBase:
    request.get_host()  # As CommonMiddleware does: it refuses hosts that ALLOWED_HOSTS does not hold.
    response: HttpResponseBase = match.func(request, *match.args, **match.kwargs)
    if isinstance(response, Response):  # Of an error; REST framework leaves it to others to render it.
        response.render()
    response.headers["X-Content-Type-Options"] = "nosniff"  # No browser takes it for a page.
    return response


def _answer_elsewhere(request: HttpRequest) -> HttpResponse:
    """Answer a webhook at any path but the receiving endpoint's; only the server's log records it."""
    host = request.get_host()
    logger.warning(
        "a webhook came to %r on %s: its URL in CircleCI is wrong. %s", request.path, host, where_webhooks_go()
    )
    return wrong_url(request)
