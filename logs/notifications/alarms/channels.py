"""Channels that were disabled by failures."""

from collections.abc import Container
from datetime import datetime

from logs.models import Channel
from logs.notifications.alarms.problems import Problems


def find_disabled_channels(opened: Container[str], now: datetime) -> Problems:
    """Return the disabled channels with a reason; a user who disables a channel states none."""
    disabled = Channel.objects.filter(enabled=False).exclude(disabled_reason="")
    return {
        str(channel.pk): {"channel": channel.name, "kind": channel.kind, "reason": channel.disabled_reason}
        for channel in disabled.only("name", "kind", "disabled_reason")
    }
