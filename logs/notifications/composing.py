"""Compose the content of a message from a change and what the log knows about its run."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.urls import get_script_prefix, reverse
from django.utils import timezone

from logs.models import StateChange, WorkflowEvent
from logs.models.notifications import Notification, NotificationKind
from logs.notifications.content import CIRCLECI, Content
from logs.standings.jobs import failed_jobs
from logs.times import duration

MAX_JOBS = 10
MAX_LINES = 15
SHORT_REVISION = 7


def compose(notification: Notification) -> Content:
    """Return the content of a notification."""
    if notification.kind == NotificationKind.TEST:
        return _test()
    if notification.kind == NotificationKind.DIGEST:
        return _digest(notification)
    change = StateChange.objects.filter(pk=notification.change_id or 0).first()
    return _of_change(change) if change else _gone(notification)


def _of_change(change: StateChange) -> Content:
    run = WorkflowEvent.objects.filter(pk=change.event_id or 0).first()
    is_broke = change.kind == NotificationKind.BROKE
    facts = [("Project", change.project)]
    if is_broke and run:
        facts.append(("Failed jobs", _failed_jobs(run)))
    facts += [
        ("First failing commit" if is_broke else "Fixed by commit", _commit(change)),
        ("Author", change.author),
        ("State", _state(change, is_broke=is_broke)),
    ]
    return Content(
        kind=change.kind,
        tone="bad" if is_broke else "good",
        headline=f"{change.workflow} {'broke' if is_broke else 'is fixed'} on {change.branch}",
        facts=[(name, value) for name, value in facts if value],
        links=_links(run),
        project=change.project,
        project_slug=change.project_slug,
        workflow=change.workflow,
        branch=change.branch,
        happened_at=change.happened_at.isoformat(),
        data=_data(change),
    )


def _failed_jobs(run: WorkflowEvent) -> str:
    names = sorted(failed_jobs([run])[run.project_slug, run.workflow_id])
    more = len(names) - MAX_JOBS
    return ", ".join([*names[:MAX_JOBS], *([f"and {more} more"] if more > 0 else [])])


def _commit(change: StateChange) -> str:
    return f"{change.revision[:SHORT_REVISION]} {change.subject}".strip()


def _state(change: StateChange, *, is_broke: bool) -> str:
    if is_broke:
        return f"Failing since {change.happened_at:%Y-%m-%d %H:%M} UTC"
    runs = f"{change.failures} failed {'run' if change.failures == 1 else 'runs'}"
    return f"After {duration(change.broken_for_seconds)} and {runs}" if change.broken_for_seconds else f"After {runs}"


def _links(run: WorkflowEvent | None) -> list[tuple[str, str]]:
    """Return links to CircleCI and to this site; other URLs in a payload may come from a stranger."""
    links = []
    if run and run.url.startswith(CIRCLECI):
        links.append(("Open in CircleCI", run.url))
    if run and settings.SITE_URL:
        links.append(("Open in webhooklog", _page_url("admin:logs_workflowevent_change", run.pk)))
    return links


def _page_url(name: str, *args: int) -> str:
    """Return the URL of a page of this site. SITE_URL has the path prefix; a path has it in the main thread only."""
    return f"{settings.SITE_URL}/{reverse(name, args=args).removeprefix(get_script_prefix())}"


def _data(change: StateChange) -> dict[str, Any]:
    return {
        "id": change.pk,
        "project": change.project,
        "project_slug": change.project_slug,
        "workflow": change.workflow,
        "branch": change.branch,
        "pipeline_number": change.pipeline_number,
        "revision": change.revision,
        "author": change.author,
        "subject": change.subject,
        "happened_at": change.happened_at.isoformat().replace("+00:00", "Z"),
        "broken_for_seconds": change.broken_for_seconds,
        "failures": change.failures,
    }


def _digest(notification: Notification) -> Content:
    parts = notification.parts.order_by().values_list("change", flat=True)
    changes = list(StateChange.objects.filter(pk__in=parts).order_by("pk"))
    counts = Counter(change.kind for change in changes)
    lines = [
        (f"{change.project} · {change.workflow}", f"{change.kind} on {change.branch}") for change in changes[:MAX_LINES]
    ]
    if len(changes) > MAX_LINES:
        lines.append(("And", f"{len(changes) - MAX_LINES} more"))
    summary = ", ".join(f"{counts[kind]} {kind}" for kind in ("broke", "fixed") if counts[kind])
    return _plain(
        kind=NotificationKind.DIGEST,
        tone="bad" if counts["broke"] else "good",
        headline=f"{len(changes)} changes: {summary}",
        facts=lines,
        data={"changes": [_data(change) for change in changes[:MAX_LINES]], **counts},
    )


def _test() -> Content:
    return _plain(
        kind=NotificationKind.TEST,
        tone="good",
        headline="Test message from webhooklog",
        facts=[("Result", "This channel works. Workflows that break or are fixed will be reported here.")],
        data={},
    )


def _gone(notification: Notification) -> Content:
    return _plain(
        kind=notification.kind,
        tone="bad" if notification.kind == NotificationKind.BROKE else "good",
        headline=f"A workflow {notification.kind}; retention has removed the details",
        facts=[],
        data={},
    )


def _plain(*, kind: str, tone: str, headline: str, facts: Sequence[tuple[str, str]], data: dict[str, Any]) -> Content:
    links = [("Open webhooklog", _page_url("admin:index"))] if settings.SITE_URL else []
    return Content(
        kind=kind,
        tone=tone,
        headline=headline,
        facts=facts,
        links=links,
        project="",
        project_slug="",
        workflow="",
        branch="",
        happened_at=timezone.now().isoformat(),
        data=data,
    )
