"""The full URLs that CircleCI sends webhooks to, and those of other endpoints."""

from django.conf import settings
from django.http import HttpRequest
from django.urls import get_script_prefix, reverse


def receiving_url(request: HttpRequest, slug: str) -> str:
    """Return the URL of a webhook, or, with an empty slug, the URL that all webhooks share."""
    return full_url(request, receiving_path(slug))


def receiving_path(slug: str) -> str:
    """Return the path of a webhook, or, with an empty slug, the path that all webhooks share."""
    return reverse("logs:receive-webhook", args=[slug]) if slug else reverse("logs:receive")


def home_url(request: HttpRequest) -> str:
    """Return the URL of the site's home page."""
    return full_url(request, reverse("admin:index"))


def full_url(request: HttpRequest, path: str) -> str:
    """Return the full URL of a path on this site.

    Without SITE_URL, it has the host of the request, which CircleCI may be unable to reach.
    """
    if not settings.SITE_URL:
        return request.build_absolute_uri(path)
    return f"{settings.SITE_URL}/{path.removeprefix(get_script_prefix())}"
