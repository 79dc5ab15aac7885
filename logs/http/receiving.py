"""The full URLs that CircleCI sends webhooks to."""

from django.conf import settings
from django.http import HttpRequest
from django.urls import get_script_prefix, reverse


def receiving_url(request: HttpRequest, slug: str) -> str:
    """Return the URL of a webhook, or, with an empty slug, the URL that all webhooks share.

    Without SITE_URL, it has the host of the request, which CircleCI may be unable to reach.
    """
    path = reverse("logs:receive-webhook", args=[slug]) if slug else reverse("logs:receive")
    if not settings.SITE_URL:
        return request.build_absolute_uri(path)
    return f"{settings.SITE_URL}/{path.removeprefix(get_script_prefix())}"
