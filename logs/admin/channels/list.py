"""The list of channels in the admin."""

from dataclasses import dataclass

from django.db.models import Count

from logs.admin.channels.state import ChannelState, state_of
from logs.models import Channel, Notification
from logs.notifications.channels import TRANSPORTS


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelRow:
    """A channel, as the list shows it."""

    channel: Channel
    kind: str
    state: ChannelState
    waiting: int


def channel_rows() -> list[ChannelRow]:
    """Return all channels by name, in two queries."""
    waiting = dict(Notification.objects.waiting().order_by().values_list("channel").annotate(Count("pk")))
    return [
        ChannelRow(
            channel=channel,
            kind=title_of(channel),
            state=state_of(channel, waiting=waiting.get(channel.pk, 0)),
            waiting=waiting.get(channel.pk, 0),
        )
        for channel in Channel.objects.order_by("name")
    ]


def title_of(channel: Channel) -> str:
    """Return the title of a channel's kind."""
    transport = TRANSPORTS.get(channel.kind)
    return transport.title if transport else channel.kind
