"""Compose the messages about alarms: what is wrong, since when, and which setting or page to change."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from logs.models import Alarm, AlarmKind, Notification, NotificationKind, Source
from logs.models.deliveries import Outcome
from logs.notifications.content import Content
from logs.notifications.links import page_link
from logs.permissions import VIEW_CHANNELS, VIEW_DELIVERIES, VIEW_SOURCES, VIEW_TOKENS
from logs.times import duration, rfc_3339

Detail = Mapping[str, Any]
Facts = list[tuple[str, str]]
ADVICE = "What to do"


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """What messages about a kind of alarm say."""

    headline: Callable[[Detail], str]
    facts: Callable[[Detail], Facts]
    end: Callable[[Alarm, datetime], str]  # Given the alarm and when it was closed.
    page: Callable[[Alarm], tuple[Any, ...]]  # The name and the arguments of the page to open.
    query: str = ""  # Of that page.
    permission: str = ""  # To open that page; empty for the dashboard, which shows the alarm.


def compose_alarm(notification: Notification) -> Content:
    """Return the content of a notification about an alarm, or about its end."""
    alarm = Alarm.objects.filter(pk=notification.alarm_id or 0).first()
    is_over = notification.kind == NotificationKind.ALARM_OVER
    if alarm is None:
        return _content(notification, tone="good" if is_over else "bad", headline=_gone(is_over=is_over))
    text, closed_at = TEXTS[AlarmKind(alarm.kind)], alarm.closed_at or notification.created_at
    has_expired = alarm.kind == AlarmKind.TOKEN and closed_at >= _time(alarm.detail["expires_at"])
    links = [(title, f"{url}{text.query}") for title, url in page_link(*text.page(alarm))]
    return _content(
        notification,
        tone="good" if is_over and not has_expired else "bad",
        headline=text.end(alarm, closed_at) if is_over else text.headline(alarm.detail),
        facts=[(name, value) for name, value in text.facts(alarm.detail) if value and not (is_over and name == ADVICE)],
        links=links,
        project_slug=alarm.detail.get("project_slug", ""),
        happened_at=(closed_at if is_over else alarm.opened_at).isoformat(),
        data=_data(alarm, is_over=is_over),
    )


def headline_of(alarm: Alarm) -> str:
    """Return an alarm in one line."""
    return TEXTS[AlarmKind(alarm.kind)].headline(alarm.detail)


def _content(notification: Notification, **values: Any) -> Content:
    """Return content without a project: the headline names it."""
    defaults = {"facts": [], "links": page_link("admin:index"), "project_slug": "", "data": {}}
    defaults |= {"happened_at": notification.created_at.isoformat()}
    return Content(kind=notification.kind, project="", workflow="", branch="", **defaults | values)


def _gone(*, is_over: bool) -> str:
    return f"An alarm {'closed' if is_over else 'opened'}; retention has removed the details"


def _data(alarm: Alarm, *, is_over: bool) -> dict[str, Any]:
    return {
        "id": alarm.pk,
        "alarm": alarm.kind,
        "opened_at": rfc_3339(alarm.opened_at),
        "closed_at": rfc_3339(alarm.closed_at) if is_over and alarm.closed_at else None,
        # Without the sources, of which a webhook can have too many for a message.
        "detail": {name: value for name, value in alarm.detail.items() if name != "sources"},
    }


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _shown(text: str | None) -> str:
    """Return a time as people read it: Wed 2026-11-25 16:53 UTC."""
    return f"{_time(text):%a %Y-%m-%d %H:%M} UTC" if text else ""


def _between(since: datetime, until: datetime) -> str:
    return duration(max(timedelta(0), until - since).total_seconds())


def _and_more(names: list[str], count: int) -> str:
    more = count - len(names)
    return ", ".join([*names, *([f"and {more} more"] if more > 0 else [])])


# Silence.


def _silent(detail: Detail) -> str:
    since = _shown(detail["last_delivery_at"])
    if "count" in detail:
        return f"All {detail['count']} projects of {detail['webhook']} have been silent since {since}"
    return f"{detail['project']} has been silent since {since}"


def _silent_facts(detail: Detail) -> Facts:
    where = "the webhook in CircleCI still exists and sends to this site."
    return [
        ("Projects", _and_more(detail["projects"], detail["count"]) if "count" in detail else detail["project_slug"]),
        ("Webhook", detail["webhook"]),
        ("Last delivery", _shown(detail["last_delivery_at"])),
        (ADVICE, f"Check that {where} If no deliveries are expected, mute the source."),
    ]


def _silence_over(alarm: Alarm, closed_at: datetime) -> str:
    """Return the end; a source that was removed or is no longer judged has not delivered."""
    detail = alarm.detail
    name, last = detail["webhook"] if "count" in detail else detail["project"], detail["last_delivery_at"]
    sources = Source.objects.filter(webhook=detail["webhook"]).exclude(project_slug="")
    if "count" not in detail:
        sources = sources.filter(project_slug=detail["project_slug"])
    if last and sources.filter(last_delivery_at__gt=_time(last)).exists():
        return f"{name} delivers again, after {_between(_time(last), closed_at)}"
    return f"{name} is no longer expected to deliver"


# Refusals.


def _refused(detail: Detail) -> str:
    return f"{detail['count']} deliveries to {_place(detail)} were refused in {detail['minutes']} minutes"


def _place(detail: Detail) -> str:
    if detail["address"] is None:
        return "URLs that belong to no webhook"
    return f"…/{detail['address']}" if detail["address"] else "the URL that all webhooks share"


def _refused_facts(detail: Detail) -> Facts:
    return [
        ("Reason", "They look like CircleCI's, but no configured secret matches their signatures."),
        (ADVICE, "Open them and try the webhook's secret. Correct CIRCLECI_WEBHOOK_SECRETS, then replay them."),
    ]


def _refusals_over(alarm: Alarm, closed_at: datetime) -> str:
    return f"The burst of refused deliveries to {_place(alarm.detail)} is over"


# Channels.


def _disabled_facts(detail: Detail) -> Facts:
    return [("Reason", detail["reason"]), (ADVICE, "Fix the cause, then enable the channel.")]


def _channel_over(alarm: Alarm, closed_at: datetime) -> str:
    return f"The channel {alarm.detail['channel']} is enabled again, after {_between(alarm.opened_at, closed_at)}"


# The watch.


def _watch(detail: Detail) -> str:
    if "until" in detail:
        since, until = _time(detail["since"]), _time(detail["until"])
        end = f"{until:%H:%M} UTC" if since.date() == until.date() else _shown(detail["until"])
        return f"The watch was stopped from {since:%a %Y-%m-%d %H:%M} to {end}"
    return f"The watch's task {detail['task']} is failing"


def _watch_facts(detail: Detail) -> Facts:
    if "until" in detail:
        return [
            ("Duration", _between(_time(detail["since"]), _time(detail["until"]))),
            ("Consequence", "Changes and alarms during this time were found late or not reported."),
        ]
    return [
        ("Error", detail["error"]),
        ("Failing since", _shown(detail["since"])),
        (ADVICE, "Read the watch's log on the server. The watch retries the task until it succeeds."),
    ]


def _watch_over(alarm: Alarm, closed_at: datetime) -> str:
    if "until" in alarm.detail:
        return _watch(alarm.detail)
    since = _time(alarm.detail["since"])
    return f"The watch's task {alarm.detail['task']} works again, after {_between(since, closed_at)}"


# API tokens and webhook secrets.


def _token_facts(detail: Detail) -> Facts:
    return [
        ("User", detail["owner"]),
        ("Begins with", detail["begins_with"]),
        (ADVICE, "Create a token of the same name, let the client use it, then revoke this one."),
    ]


def _token_over(alarm: Alarm, closed_at: datetime) -> str:
    has_expired = closed_at >= _time(alarm.detail["expires_at"])
    end = "has expired" if has_expired else "was replaced or revoked, or is no longer used"
    return f"The API token {alarm.detail['name']} {end}"


def _secret_facts(detail: Detail) -> Facts:
    return [
        ("Projects", _and_more(detail["projects"], detail["count"])),
        ("New secret in use since", _shown(detail["newest_first_seen_at"])),
        (ADVICE, "Enter the new secret in these projects' webhooks in CircleCI, then remove the old one here."),
    ]


TEXTS = {
    AlarmKind.SILENCE: Text(
        headline=_silent,
        facts=_silent_facts,
        end=_silence_over,
        page=lambda _: ("admin:logs_source_changelist",),
        permission=VIEW_SOURCES,
    ),
    AlarmKind.REFUSALS: Text(
        headline=_refused,
        facts=_refused_facts,
        end=_refusals_over,
        page=lambda _: ("admin:logs_delivery_changelist",),
        query=f"?outcome={Outcome.UNVERIFIED}",
        permission=VIEW_DELIVERIES,
    ),
    AlarmKind.CHANNEL: Text(
        headline=lambda detail: f"The channel {detail['channel']} is disabled",
        facts=_disabled_facts,
        end=_channel_over,
        page=lambda alarm: ("admin:logs_channel_change", int(alarm.key)),
        permission=VIEW_CHANNELS,
    ),
    AlarmKind.WATCH: Text(
        headline=_watch,
        facts=_watch_facts,
        end=_watch_over,
        page=lambda _: ("admin:index",),
    ),
    AlarmKind.TOKEN: Text(
        headline=lambda detail: f"The API token {detail['name']} expires on {_shown(detail['expires_at'])}",
        facts=_token_facts,
        end=_token_over,
        page=lambda _: ("admin:logs_apitoken_changelist",),
        permission=VIEW_TOKENS,
    ),
    AlarmKind.SECRET: Text(
        headline=lambda detail: f"Deliveries of {detail['webhook']} are still signed with an old secret",
        facts=_secret_facts,
        end=lambda alarm, _: f"The old secret of {alarm.detail['webhook']} is no longer in use, or was removed",
        page=lambda _: ("admin:logs_source_changelist",),
        permission=VIEW_SOURCES,
    ),
}
