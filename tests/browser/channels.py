"""Write channels in each state, with rules and notifications, into a site's database, in the site's own settings."""

from datetime import timedelta

from django.contrib.auth.models import User
from django.utils import timezone

from logs.models import AlarmKind, Channel, Notification, NotificationAttempt, Rule, StateChange, WorkflowEvent
from logs.notifications.sealing import seal

# The guard refuses its address, so no test sends anything.
URL = "https://127.0.0.1:9/services/T024BE7LD/B024BE7LH/XjkW8vQzfQ2x"
SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)
TEST = {"headline": "Test message from webhooklog"}
UNAVAILABLE = "503 upstream connect error or disconnect/reset before headers"


def make_channels(name="ops"):
    """Make a channel in each state; `name` is that of the one with all kinds of notifications."""
    now = timezone.now()
    works = _channel(name, last_sent_at=now - 120 * SECOND)
    _notify(works)
    failing = _channel(
        "on-call",
        last_sent_at=now - 50 * HOUR,
        failures_in_a_row=4,
        failing_since=now - 300 * SECOND,
        not_before=now + 20 * HOUR,
        last_error=UNAVAILABLE,
        last_error_at=now - SECOND,
    )
    _notification(
        failing, "broke", 1, change=_change("broke"), attempts_made=4, last_status=503, last_error=UNAVAILABLE
    )
    _notification(failing, "fixed", 2, change=_change("fixed"))
    gone = "404 no_service"
    _channel("old chat", enabled=False, disabled_reason=gone, last_error=gone, last_error_at=now - 9 * HOUR)
    _channel("night shift", muted_until=now + 9 * HOUR, last_sent_at=now - 30 * HOUR)
    _channel("new")
    _channel("tried")
    _channel("loft", kind="pigeon", last_sent_at=now - 9 * HOUR)  # Its plug-in is not installed.
    _channel("restored", sealed="from a site with another key")
    _make_rules(works, failing)


def _make_rules(works, failing):
    user = User.objects.get(username="administrator")
    hostile = works.name
    for values, channels in (
        (
            {"name": hostile, "branches": f"<default>\nrelease/*\n!{hostile}", "projects": "github/acme/*"},
            [works, failing],
        ),
        ({"name": "deployments", "subject": "runs", "workflows": "deploy", "statuses": ["failed", "error"]}, [works]),
        ({"name": "old rule", "enabled": False, "after_failures": 3, "remind_every_hours": 24}, []),
        ({"name": "the log", "subject": "log", "alarms": AlarmKind.values}, [works]),
    ):
        rule = Rule.objects.create(created_by=user, changed_by=user, **values)
        rule.channels.set(channels)
    Notification.objects.filter(channel=works).update(rule=Rule.objects.get(name=hostile))


def _channel(name, **values):
    user = User.objects.get(username="administrator")
    defaults = {"kind": "slack", "sealed": seal({"url": URL}), "created_by": user, "changed_by": user}
    return Channel.objects.create(name=name, **defaults | values)


def _notify(channel):
    now = timezone.now()
    _notification(channel, "broke", 1, change=_change("broke"), state="dropped")
    part = _notification(channel, "fixed", 2, change=_change("fixed"), state="merged")
    strange = channel.name[:40]
    digest = {
        "headline": f"37 changes: 31 broke, 6 fixed {strange}",
        "facts": [[f"acme/orchard · build {strange}", f"broke on {strange}"], ["And", "36 more"]],
        "links": [["Open webhooklog", "https://hooks.example.com/admin/"], [strange, f"https://{strange}"]],
    }
    part.merged_into = _notification(
        channel, "digest", 3, content=digest, state="sent", sent_at=now, attempts_made=1, last_status=200
    )
    part.save()
    refused = "400 invalid_blocks"
    broke = {
        "headline": f"build broke on main {strange}",
        "facts": [
            ["Failed jobs", "unit-tests, lint"],
            ["First failing commit", f"1a2b3c4 {strange}"],
            ["Author", "Ada"],
        ],
        "links": [["Open in CircleCI", "https://app.circleci.com/pipelines/github/acme/orchard/4711"]],
    }
    _notification(
        channel,
        "broke",
        4,
        change=_change("broke"),
        content=broke,
        state="failed",
        attempts_made=1,
        last_status=400,
        last_error=refused,
    )
    crashed = _notification(
        channel, "fixed", 5, change=_change("fixed"), state="sent", sent_at=now, attempts_made=2, last_status=200
    )
    NotificationAttempt.objects.create(notification=crashed, started_at=now - HOUR)
    NotificationAttempt.objects.create(notification=crashed, started_at=now, ended_at=now, status=200)
    _notification(channel, "test", 6, content=TEST, state="expired", created_at=now - HOUR)


def _notification(channel, kind, number, *, change=None, **values):
    values |= {"change": change, "event": change and change.event}
    return Notification.objects.create(
        channel=channel,
        kind=kind,
        key=f"{channel.pk} {number}",
        thread="wl-0b7d41c2e9a85f36",
        expires_at=timezone.now() + 6 * HOUR,
        **values,
    )


def _change(kind):
    """Return a state change of the newest run of a workflow."""
    run = WorkflowEvent.objects.exclude(workflow="").order_by("pk").last()
    columns = {name: getattr(run, name) for name in ("project_slug", "project", "workflow", "branch", "revision")}
    change, _ = StateChange.objects.get_or_create(
        event=run,
        kind=kind,
        defaults={**columns, "happened_at": run.received_at, "noted_at": run.received_at, "failures": 1},
    )
    return change
