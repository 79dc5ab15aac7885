"""The kinds of channels: the built-in ones, one file each, and those of plug-ins."""

from django.conf import settings

from logs.notifications.channels.airtable import AirtableTransport
from logs.notifications.channels.base import Transport
from logs.notifications.channels.discord import DiscordTransport
from logs.notifications.channels.mail import MailTransport
from logs.notifications.channels.mattermost import MattermostTransport
from logs.notifications.channels.pagerduty import PagerDutyTransport
from logs.notifications.channels.plugins import load_plugins
from logs.notifications.channels.slack import SlackTransport
from logs.notifications.channels.teams import TeamsTransport
from logs.notifications.channels.telegram import TelegramTransport
from logs.notifications.channels.webhook import WebhookTransport
from logs.notifications.channels.zendesk import ZendeskTransport

TRANSPORTS: dict[str, Transport] = {
    transport.kind: transport
    for transport in (
        SlackTransport(),
        TeamsTransport(),
        DiscordTransport(),
        MattermostTransport(),
        TelegramTransport(),
        MailTransport(),
        PagerDutyTransport(),
        WebhookTransport(),
        ZendeskTransport(),
        AirtableTransport(),
    )
}
PLUGINS, PLUGIN_PROBLEMS = load_plugins(settings.CHANNEL_PLUGINS, built_in=TRANSPORTS)
TRANSPORTS |= PLUGINS
