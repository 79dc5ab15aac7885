"""Reject webhooks that arrive at a wrong URL."""

import logging
from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase
from django.urls import Resolver404, resolve

from logs.circleci.vocabulary import SIGNATURE_HEADER
from logs.http.errors import where_webhooks_go, wrong_url

RECEIVING_URLS = ("logs:receive", "logs:receive-webhook")

logger = logging.getLogger(__name__)


class MisdirectedWebhookMiddleware:
    """Answers 404 to a webhook that was sent to another path; a redirect to a page could look like success."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Reject a webhook, or pass the request on. Only the server's log records the webhook."""
        is_webhook = request.method == "POST" and SIGNATURE_HEADER in request.headers
        if not is_webhook or _receives_webhooks(request.path_info):
            return self.get_response(request)
        host = request.get_host()
        logger.warning(
            "a webhook arrived at %r on %s, so its URL is wrong: %s", request.path, host, where_webhooks_go()
        )
        return wrong_url(request)


def _receives_webhooks(path: str) -> bool:
    try:
        return resolve(path).view_name in RECEIVING_URLS
    except Resolver404:
        return False
