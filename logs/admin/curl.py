"""A delivery as a command for the shell that sends it to this site again."""

from django.http import HttpRequest
from django.urls import reverse

from logs.circleci.curl import curl_command
from logs.models import Delivery


def file_name(delivery: Delivery) -> str:
    """Return what a delivery's body is called when it is downloaded."""
    return f"delivery-{delivery.pk}.json"


def curl_for(request: HttpRequest, delivery: Delivery) -> str:
    """Return the command that sends a delivery to this site's address that it came to; this reads its body."""
    slug = delivery.webhook_slug
    path = reverse("logs:receive-webhook", args=[slug]) if slug else reverse("logs:receive")
    body = bytes(delivery.body)
    address = request.build_absolute_uri(path)
    return curl_command(address, delivery.headers, body, file=file_name(delivery))
