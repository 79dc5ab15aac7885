"""Atom: the newest changes of the selected branches."""

from datetime import UTC
from typing import Any
from urllib.parse import urlsplit

from django.utils.feedgenerator import Atom1Feed
from django.utils.xmlutils import SimplerXMLGenerator

from logs.feeds.characters import printable
from logs.feeds.choosing import Choice
from logs.models import ChangeKind, StateChange
from logs.times import duration

MOST_ENTRIES = 50
MOST_READ = 5_000
COLUMNS = (
    *("pk", "project_slug", "project", "workflow", "branch", "kind", "pipeline_number", "revision", "author"),
    *("subject", "happened_at", "noted_at", "broken_for_seconds", "event__url"),
)


class _TextFeed(Atom1Feed):
    """An Atom feed whose summaries are plain text."""

    def add_item_elements(self, handler: SimplerXMLGenerator, item: dict[str, Any]) -> None:
        """Add the elements of an entry."""
        super().add_item_elements(handler, item | {"description": None})
        handler.addQuickElement("summary", item["description"], {"type": "text"})


def read_changes(choice: Choice) -> list[Any]:
    """Return the newest loud changes that a URL shows: of the newest MOST_READ in the log, at most MOST_ENTRIES.

    Raises:
        Http404: the feed may not show what the URL names.
    """
    loud = StateChange.objects.filter(quiet_reason="").order_by("-happened_at", "-pk")
    changes = choice.narrow(loud).values_list(*COLUMNS, named=True)[:MOST_READ]
    found = [change for change in changes if choice.shows(change)]
    if not found:
        choice.require_scope()
    return found[:MOST_ENTRIES]


def atom_of(choice: Choice, changes: list[Any], *, site_url: str, feed_url: str) -> str:
    """Return the document; entries keep their ids although URLs change."""
    host = urlsplit(site_url).hostname or "webhooklog"
    feed = _TextFeed(
        title=printable(choice.feed.name),
        link=site_url,
        description="",
        feed_url=feed_url,
        feed_guid=f"tag:{host},2026:feed/{choice.feed.pk}",
    )
    for change in changes:
        feed.add_item(
            title=printable(_title(change)),
            link=printable(change.event__url or site_url),
            description=printable(_summary(change)),
            unique_id=f"tag:{host},2026:change/{change.pk}",
            pubdate=change.happened_at,
            updateddate=change.noted_at,
            author_name=printable(change.author or change.project or "CircleCI"),
        )
    return feed.writeString("utf-8")


def _title(change: Any) -> str:
    what = f"{change.project} · {change.workflow} {change.kind} on {change.branch}"
    if change.kind == ChangeKind.BROKE:
        return f"{what}, broken since {change.happened_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    seconds = change.broken_for_seconds
    return what if seconds is None else f"{what} after {duration(seconds)}"


def _summary(change: Any) -> str:
    parts = (
        change.pipeline_number is not None and f"Pipeline {change.pipeline_number}",
        change.revision and f"commit {change.revision[:7]}",
        change.author and f"by {change.author}",
        change.subject,
    )
    return " · ".join(part for part in parts if part)
