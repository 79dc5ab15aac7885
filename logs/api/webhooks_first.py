"""Take CircleCI's requests past the middleware that only people and their browsers need."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase
from django.urls import Resolver404, ResolverMatch, resolve
from rest_framework.response import Response

from logs.api.views.receiving import ReceiveWebhookView


class WebhooksFirstMiddleware:
    """Hands a webhook to its view at once.

    Sessions, CSRF tokens, messages and policies for pages are nothing to it, and take time.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer a webhook, or pass the request on."""
        match = _receiving_view(request.path_info)
        if match is None:
            return self.get_response(request)
        request.get_host()  # As CommonMiddleware does: it refuses hosts that ALLOWED_HOSTS does not hold.
        response: Response = match.func(request, *match.args, **match.kwargs)
        response.render()
        return response


def _receiving_view(path: str) -> ResolverMatch | None:
    if not path.startswith("/log-circleci-webhook"):
        return None
    try:
        match = resolve(path)
    except Resolver404:
        return None
    return match if getattr(match.func, "cls", None) is ReceiveWebhookView else None
