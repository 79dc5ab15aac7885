"""The context of a channel's page, limited to what the user may view."""

from collections.abc import Iterator
from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext as _

from logs.admin.channels.actions import mute_choices
from logs.admin.channels.list import title_of
from logs.admin.channels.result import is_running, result_of
from logs.admin.channels.secrets import StoredSecrets, read_secrets
from logs.admin.channels.state import UNREADABLE, state_of
from logs.admin.notifications.shown import shown, with_subjects
from logs.insights.watching import read_watch
from logs.models import Channel, Notification, NotificationKind
from logs.notifications.channels import TRANSPORTS
from logs.notifications.channels.base import Field
from logs.permissions import (
    ADD_RULES,
    CHANGE_CHANNELS,
    TEST_CHANNELS,
    VIEW_EVENTS,
    VIEW_NOTIFICATIONS,
    VIEW_RULES,
)

SHOWN_NOTIFICATIONS = 20


def channel_context(request: HttpRequest, channel: Channel) -> dict[str, Any]:
    """Return the context of a channel's page; the number of queries is fixed."""
    may = request.user.has_perm
    waiting = Notification.objects.waiting().filter(channel=channel).count()
    secrets = read_secrets(channel) if may(CHANGE_CHANNELS) else None
    is_unreadable = secrets is not None and not secrets.is_readable
    notifications = _newest_notifications(channel)
    tests = [each for each in notifications if each.kind == NotificationKind.TEST]
    test = tests[0] if tests else None
    rules = list(channel.rules.order_by("name"))
    return {
        "channel": channel,
        "kind": title_of(channel),
        "is_supported": channel.kind in TRANSPORTS,
        "is_combined": channel.kind not in TRANSPORTS or TRANSPORTS[channel.kind].is_combined,
        "is_unreadable": is_unreadable,
        "state": UNREADABLE if is_unreadable and channel.enabled else state_of(channel, waiting=waiting),
        "waiting": waiting,
        "is_watch_running": read_watch().is_running,
        "settings": list(_settings(channel, secrets)),
        "notifications": [shown(each, may_see_events=may(VIEW_EVENTS)) for each in notifications[:SHOWN_NOTIFICATIONS]],
        "has_more_notifications": len(notifications) > SHOWN_NOTIFICATIONS,
        "test_result": result_of(channel, test) if test else "",
        "is_test_running": bool(test and is_running(channel, test)),
        "mute_choices": mute_choices(),
        "rules": rules,
        "is_used": any(rule.enabled for rule in rules),
        "may_add_rules": may(ADD_RULES) and may(VIEW_RULES),
        "may_view_rules": may(VIEW_RULES),
        "may_view_notifications": may(VIEW_NOTIFICATIONS),
        "may_test": may(TEST_CHANNELS),
        "may_change": may(CHANGE_CHANNELS),
    }


def _newest_notifications(channel: Channel) -> list[Notification]:
    return list(with_subjects(channel.notifications.all()).order_by("-pk")[: SHOWN_NOTIFICATIONS + 1])


def _settings(channel: Channel, secrets: StoredSecrets | None) -> Iterator[tuple[str, str]]:
    for field in TRANSPORTS[channel.kind].fields if channel.kind in TRANSPORTS else ():
        yield field.label, _secret(field, secrets) if field.is_secret else _option(field, channel)


def _option(field: Field, channel: Channel) -> str:
    value = str(channel.options.get(field.name, ""))
    return dict(field.choices).get(value, value)


def _secret(field: Field, secrets: StoredSecrets | None) -> str:
    if secrets is None:
        return _("hidden")
    if not secrets.is_readable:
        return _("unreadable")
    if end := secrets.end_of(field.name):
        return _("ends in %(end)s") % {"end": end}
    return _("stored") if secrets.has(field.name) else ""
