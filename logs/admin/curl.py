"""The shell command that resends a delivery to this site."""

from django.http import HttpRequest

from logs.circleci.curl import curl_command
from logs.http.downloads import file_name
from logs.http.full_urls import receiving_url
from logs.models import Delivery


def curl_for(request: HttpRequest, delivery: Delivery) -> str:
    """Return the command that sends a delivery to its URL on this site. This loads the body."""
    url = receiving_url(request, delivery.webhook_slug)
    return curl_command(url, delivery.headers, bytes(delivery.body), file=file_name(delivery))
