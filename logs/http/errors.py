"""Responses to requests that no view handles: a page for browsers, JSON for other clients."""

import logging

from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse

logger = logging.getLogger(__name__)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Return 400 for a request that Django rejects, such as one for a host that is not in ALLOWED_HOSTS."""
    if isinstance(exception, DisallowedHost):
        host = request.META.get("HTTP_HOST", "")
        logger.warning("a request named the host %r, which is not in ALLOWED_HOSTS", host)
        detail = f"This site does not answer to the host {host!r}: add it to ALLOWED_HOSTS."
        return JsonResponse({"detail": detail, "code": "disallowed_host"}, status=400)
    return JsonResponse({"detail": "The request is invalid.", "code": "bad_request"}, status=400)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Return 404 for an unknown path."""
    if request.method == "POST":
        return wrong_url(request)
    if is_browser(request):
        return render(request, "404.html", {"site_header": "webhooklog"}, status=404)
    return JsonResponse({"detail": f"There is nothing at {request.path}.", "code": "not_found"}, status=404)


def wrong_url(request: HttpRequest) -> JsonResponse:
    """Return 404 for a POST to a path that does not accept it, most likely from a webhook with a wrong URL."""
    detail = f"{request.path} does not accept webhooks. {where_webhooks_go()}"
    headers = {"X-Content-Type-Options": "nosniff"}  # Set here because this response may bypass all middleware.
    return JsonResponse({"detail": detail, "code": "not_found"}, status=404, headers=headers)


def where_webhooks_go() -> str:
    """Return a sentence with the receiving endpoint's path."""
    return f"Send CircleCI's webhooks to {reverse('logs:receive')} on this site."


def is_browser(request: HttpRequest) -> bool:
    """Return whether the client prefers HTML to JSON."""
    try:
        return request.get_preferred_type(["application/json", "text/html"]) == "text/html"
    except ValueError:  # An Accept header with a parameter that cannot be decoded.
        return False


def server_error(request: HttpRequest) -> HttpResponse:
    """Return 500 without internal details."""
    return JsonResponse({"detail": "Internal error; the server's log has the details.", "code": "error"}, status=500)
