"""Links from messages to pages of this site."""

from django.conf import settings
from django.urls import get_script_prefix, reverse


def page_url(name: str, *args: int) -> str:
    """Return the URL of a page of this site. SITE_URL has the path prefix; a path has it in the main thread only."""
    return f"{settings.SITE_URL}/{reverse(name, args=args).removeprefix(get_script_prefix())}"


def page_link(name: str, *args: int) -> list[tuple[str, str]]:
    """Return the link to a page; none without SITE_URL."""
    return [("Open in webhooklog", page_url(name, *args))] if settings.SITE_URL else []
