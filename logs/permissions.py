"""The permissions that endpoints, pages and commands require, and the scopes of API tokens."""

from typing import Any

from django.conf import settings

VIEW_EVENTS = "logs.view_workflowevent"
VIEW_DELIVERIES = "logs.view_delivery"
VIEW_BODIES = "logs.view_delivery_body"
REPLAY = "logs.replay_delivery"
PRUNE = "logs.prune_log"
VIEW_CHANNELS = "logs.view_channel"
ADD_CHANNELS = "logs.add_channel"
CHANGE_CHANNELS = "logs.change_channel"
TEST_CHANNELS = "logs.test_channel"
VIEW_FEEDS = "logs.view_feed"
VIEW_RULES = "logs.view_rule"
ADD_RULES = "logs.add_rule"
CHANGE_RULES = "logs.change_rule"
DELETE_RULES = "logs.delete_rule"
VIEW_NOTIFICATIONS = "logs.view_notification"
RESEND = "logs.resend_notification"
VIEW_ALARMS = "logs.view_alarm"
VIEW_SOURCES = "logs.view_source"
MUTE_SOURCES = "logs.mute_source"
TRY_SECRETS = "logs.try_secret"
VIEW_TOKENS = "logs.view_apitoken"

# The permissions that the API's endpoints require, by the scope that a token needs for them.
# fmt: off
SCOPES = {
    "events":     VIEW_EVENTS,
    "deliveries": VIEW_DELIVERIES,
    "bodies":     VIEW_BODIES,
    "replay":     REPLAY,
}
# fmt: on


def may(user: Any, permission: str) -> bool:
    """Return whether a user has a permission; with PUBLIC_READ, every client may view events."""
    return (permission == VIEW_EVENTS and settings.PUBLIC_READ) or user.has_perm(permission)
