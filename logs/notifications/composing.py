"""Compose the content of a message from its change or event, and what the log knows about the run."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.utils import timezone

from logs.circleci.vocabulary import Tone, tone_of
from logs.models import Standing, StateChange, WorkflowEvent
from logs.models.notifications import Notification, NotificationKind
from logs.models.standings import RESTING_AFTER
from logs.notifications.alarm_content import compose_alarm
from logs.notifications.content import CIRCLECI, Content
from logs.notifications.links import page_link, page_url
from logs.standings.jobs import failed_jobs
from logs.standings.judging import branch_of, ended_at, key_of
from logs.times import duration, rfc_3339

MAX_JOBS = 10
MAX_LINES = 15
SHORT_REVISION = 7
RUN, JOB = NotificationKind.RUN, NotificationKind.JOB
GONE = {NotificationKind.FIXED: "A workflow fixed", RUN: "A workflow ended", JOB: "A job ended"}
COUNTED = {
    NotificationKind.BROKE: "broke",
    NotificationKind.FIXED: "fixed",
    NotificationKind.REMINDER: "still broken",
    RUN: "runs",
    JOB: "jobs",
}


def compose(notification: Notification) -> Content:
    """Return the content of a notification."""
    if notification.kind == NotificationKind.TEST:
        return _test()
    if notification.kind == NotificationKind.DIGEST:
        return _digest(notification)
    if notification.kind in (NotificationKind.ALARM, NotificationKind.ALARM_OVER):
        return compose_alarm(notification)
    run = WorkflowEvent.objects.filter(pk=notification.event_id or 0).first()
    if notification.kind in (RUN, JOB):
        return _of_event(notification.kind, run) if run else _gone(notification)
    change = StateChange.objects.filter(pk=notification.change_id or 0).first()
    return _of_change(change, run, notification) if change else _gone(notification)


def _of_change(change: StateChange, run: WorkflowEvent | None, notification: Notification) -> Content:
    if notification.kind == NotificationKind.REMINDER:
        return _reminder(change, run)
    if notification.kind != change.kind:
        return _resting(change)
    is_broke = change.kind == NotificationKind.BROKE
    facts = [("Failed jobs", _failed_jobs(run))] if is_broke and run else []
    facts += [
        ("First failing commit" if is_broke else "Fixed by commit", _commit(change)),
        ("Author", change.author),
        ("State", _how_often(change, notification) + _state(change, is_broke=is_broke)),
    ]
    headline = f"{change.workflow} {'broke' if is_broke else 'is fixed'} on {change.branch}"
    return _about(change, change.kind, headline, facts, run)


def _reminder(change: StateChange, run: WorkflowEvent | None) -> Content:
    age = duration((timezone.now() - change.happened_at).total_seconds())
    facts = [
        ("Failed jobs", _failed_jobs(run) if run else ""),
        ("First failing commit", _commit(change)),
        ("Author", change.author),
        ("State", f"{_state(change, is_broke=True)}, for {age}"),
    ]
    headline = f"{change.workflow} is still broken on {change.branch}"
    return _about(change, NotificationKind.REMINDER, headline, facts, run)


def _resting(change: StateChange) -> Content:
    """Return the end of an incident that was not fixed; `change` is the breakage."""
    headline = f"{change.workflow} no longer runs on {change.branch}"
    facts = [("State", f"{_state(change, is_broke=True)}, but there was no run for {RESTING_AFTER.days} days")]
    return _about(change, NotificationKind.FIXED, headline, facts, None)


def _about(
    change: StateChange, kind: str, headline: str, facts: Sequence[tuple[str, str]], run: WorkflowEvent | None
) -> Content:
    return Content(
        kind=kind,
        tone="good" if kind == NotificationKind.FIXED else "bad",
        headline=headline,
        facts=[(name, value) for name, value in [("Project", change.project), *facts] if value],
        links=_links(run),
        project=change.project,
        project_slug=change.project_slug,
        workflow=change.workflow,
        branch=change.branch,
        happened_at=change.happened_at.isoformat(),
        data=_data(change) | {"breakage_id": _breakage_id(change)},
    )


def _of_event(kind: str, event: WorkflowEvent) -> Content:
    """Return the content about a run, with its failed jobs, or about a job."""
    is_job = kind == JOB
    facts = [
        ("Project", event.project),
        ("Failed jobs", "" if is_job else _failed_jobs(event)),
        ("Commit", _commit(event)),
        ("Author", event.author),
        ("Duration", duration(event.duration_seconds) if event.duration_seconds is not None else ""),
    ]
    ended = ended_at(event, event.received_at)
    return Content(
        kind=kind,
        tone="bad" if tone_of(event.status) is Tone.BAD else "good",
        headline=_event_headline(kind, event),
        facts=[(name, value) for name, value in facts if value],
        links=_links(event),
        project=event.project,
        project_slug=event.project_slug,
        workflow=event.workflow,
        branch=event.branch or event.tag,
        happened_at=ended.isoformat(),
        data=_event_data(event) | {"happened_at": rfc_3339(ended)},
    )


def _event_headline(kind: str, event: WorkflowEvent) -> str:
    """Return the headline of a run or job: "build: failed on main", "build · lint: failed on main"."""
    name = f"{event.workflow} · {event.job}" if kind == JOB else event.workflow
    ref = event.branch or event.tag
    return f"{name}: {event.status}{f' on {ref}' if ref else ''}"


def _event_data(event: WorkflowEvent) -> dict[str, Any]:
    columns = ("project", "project_slug", "workflow", "job", "status", "branch", "tag", "pipeline_number", "revision")
    named = {name: getattr(event, name) for name in columns}
    return named | {"id": event.pk, "author": event.author, "subject": event.commit_subject}


def _failed_jobs(run: WorkflowEvent) -> str:
    names = sorted(failed_jobs([run])[run.project_slug, run.workflow_id])
    more = len(names) - MAX_JOBS
    return ", ".join([*names[:MAX_JOBS], *([f"and {more} more"] if more > 0 else [])])


def _commit(about: StateChange | WorkflowEvent) -> str:
    subject = about.subject if isinstance(about, StateChange) else about.commit_subject
    return f"{about.revision[:SHORT_REVISION]} {subject}".strip()


def _how_often(change: StateChange, notification: Notification) -> str:
    """Return "3 failures in a row. " for a breakage that was reported with a later run than the first failed one."""
    if notification.kind != NotificationKind.BROKE or notification.event_id == change.event_id:
        return ""
    branch = key_of(branch_of(change))
    # If another run has decided since, the number at that time is unknown.
    standing = Standing.objects.filter(last=notification.event_id or 0, failures__gt=1, **branch).first()
    return f"{standing.failures} failures in a row. " if standing else ""


def _state(change: StateChange, *, is_broke: bool) -> str:
    if is_broke:
        return f"Failing since {change.happened_at:%Y-%m-%d %H:%M} UTC"
    runs = f"{change.failures} failed {'run' if change.failures == 1 else 'runs'}"
    return f"After {duration(change.broken_for_seconds)} and {runs}" if change.broken_for_seconds else f"After {runs}"


def _links(run: WorkflowEvent | None) -> list[tuple[str, str]]:
    """Return links to CircleCI and to this site; other URLs in a payload may come from a stranger."""
    if run is None:
        return []
    links = [("Open in CircleCI", run.circleci_url)] if run.url.startswith(CIRCLECI) else []
    return links + page_link("admin:logs_workflowevent_change", run.pk)


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
        "happened_at": rfc_3339(change.happened_at),
        "broken_for_seconds": change.broken_for_seconds,
        "failures": change.failures,
    }


def _breakage_id(change: StateChange) -> int | None:
    """Return the key of the breakage that a change is or ends; None if retention has removed it."""
    if change.kind == NotificationKind.BROKE:
        return change.pk
    earlier = StateChange.objects.filter(pk__lt=change.pk, **key_of(branch_of(change))).order_by("-pk").first()
    return earlier.pk if earlier and earlier.kind == NotificationKind.BROKE else None


def _digest(notification: Notification) -> Content:
    """Return the content that stands for many messages: how many of each kind, and the first of them."""
    parts: list[Any] = list(notification.parts.order_by("pk").values_list("kind", "change", "event", named=True))
    counts = Counter(part.kind for part in parts)
    shown = parts[:MAX_LINES]
    changes = StateChange.objects.in_bulk({part.change for part in shown if part.change})
    events = WorkflowEvent.objects.in_bulk({part.event for part in shown if part.kind in (RUN, JOB)})
    lines = [_line(part.kind, changes.get(part.change), events.get(part.event)) for part in shown]
    if len(parts) > MAX_LINES:
        lines.append(("And", f"{len(parts) - MAX_LINES} more"))
    summary = ", ".join(_counted(kind, counts[kind]) for kind in COUNTED if counts[kind])
    is_bad = counts[NotificationKind.BROKE] or counts[NotificationKind.REMINDER]
    is_bad = is_bad or any(tone_of(event.status) is Tone.BAD for event in events.values())
    return _plain(
        kind=NotificationKind.DIGEST,
        tone="bad" if is_bad else "good",
        headline=f"{len(parts)} messages: {summary}",
        facts=lines,
        data={"changes": [_data(change) for change in changes.values()], **counts},
    )


def _counted(kind: NotificationKind, count: int) -> str:
    name = COUNTED[kind]
    return f"{count} {name.removesuffix('s') if count == 1 else name}"


def _line(kind: str, change: StateChange | None, event: WorkflowEvent | None) -> tuple[str, str]:
    """Return a part of a digest: the name and what happened."""
    if event:
        return event.project, _event_headline(kind, event)
    if change:
        return f"{change.project} · {change.workflow}", f"{COUNTED[NotificationKind(kind)]} on {change.branch}"
    return COUNTED[NotificationKind(kind)], "retention has removed the details"


def _test() -> Content:
    return _plain(
        kind=NotificationKind.TEST,
        tone="good",
        headline="Test message from webhooklog",
        facts=[("Result", "This channel works. It gets what its rules select.")],
        data={},
    )


def _gone(notification: Notification) -> Content:
    event = GONE.get(NotificationKind(notification.kind), "A workflow broke")
    return _plain(
        kind=notification.kind,
        tone="good" if notification.kind == NotificationKind.FIXED else "bad",
        headline=f"{event}; retention has removed the details",
        facts=[],
        data={},
    )


def _plain(*, kind: str, tone: str, headline: str, facts: Sequence[tuple[str, str]], data: dict[str, Any]) -> Content:
    links = [("Open webhooklog", page_url("admin:index"))] if settings.SITE_URL else []
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
