"""The shell command that resends a delivery to this site."""

from django.http import HttpRequest
from django.urls import reverse

from logs.circleci.curl import curl_command
from logs.http.downloads import file_name
from logs.models import Delivery


def curl_for(request: HttpRequest, delivery: Delivery) -> str:
    """Return the command that sends a delivery to its URL on this site. This loads the body."""
    slug = delivery.webhook_slug
    path = reverse("logs:receive-webhook", args=[slug]) if slug else reverse("logs:receive")
    body = bytes(delivery.body)
    url = request.build_absolute_uri(path)
    return curl_command(url, delivery.headers, body, file=file_name(delivery))
