"""Send a test message to a channel: ``manage.py test_channel``."""

import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from logs.management.examples import CommandWithExamples
from logs.management.terminal import printable
from logs.models import Channel, Notification, NotificationState
from logs.notifications.channels import TRANSPORTS
from logs.notifications.outbox import add_test
from logs.notifications.sending import send_waiting

EXIT_CODE_OF_UNKNOWN_CHANNEL = 2
TIMEOUT_SECONDS = 60
PAUSE_SECONDS = 0.2


class Command(CommandWithExamples):
    """Send a test message and print the vendor's response."""

    help = (
        "Send a test message to a channel, in this process and as the watch would, and print the result in the "
        "vendor's words. The channel's page in the admin lists the message."
    )
    examples = """
manage.py test_channel ops
manage.py test_channel "on call" && echo "PagerDuty accepts messages"
"""
    exit_codes = "0 when the message is sent, 1 when it is not, 2 for an unknown channel or invalid arguments"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the name."""
        parser.add_argument("name", metavar="NAME", help="the channel's name")

    def handle(self, *args: Any, **options: Any) -> None:
        """Send the message.

        Raises:
            CommandError: the channel is unknown, cannot be tested in its state, or did not get the message.
        """
        channel = _channel(options["name"])
        test = add_test(channel)
        _send(test)
        if test.state != NotificationState.SENT:
            raise CommandError(printable(_failure(test)))
        self.stdout.write(_success(test))


def _channel(name: str) -> Channel:
    channel = Channel.objects.filter(name=name).first()
    if channel is None:
        known = ", ".join(
            printable(repr(each)) for each in Channel.objects.order_by("name").values_list("name", flat=True)
        )
        raise CommandError(
            f"there is no channel {name!r}; channels: {known or 'none'}", returncode=EXIT_CODE_OF_UNKNOWN_CHANNEL
        )
    if channel.kind not in TRANSPORTS:
        raise CommandError(f"this site cannot send to the kind {channel.kind!r}: see CHANNEL_PLUGINS")
    if not channel.enabled:
        reason = f": {printable(channel.disabled_reason)}" if channel.disabled_reason else ""
        raise CommandError(f"the channel is disabled{reason}; enable it in the admin")
    if channel.is_muted:
        raise CommandError(
            f"the channel is muted until {channel.muted_until:%Y-%m-%d %H:%M} UTC; unmute it in the admin"
        )
    return channel


def _send(test: Notification) -> None:
    """Send the message, or wait until a watch that holds the channel's lease has sent it."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not _has_ended(test) and time.monotonic() < deadline:
        send_waiting(test.channel_id, is_stopping=lambda: _has_ended(test))
        if not _has_ended(test):
            time.sleep(PAUSE_SECONDS)


def _has_ended(test: Notification) -> bool:
    """Read the message again; return whether it was sent, failed, or has to wait longer than for a lease."""
    test.refresh_from_db()
    return test.state != NotificationState.WAITING or not test.channel.enabled or test.channel.not_before is not None


def _success(test: Notification) -> str:
    if test.last_status == 202 and not TRANSPORTS[test.channel.kind].opens_incidents:
        return "accepted (202), which does not prove that the message is shown"
    return f"sent ({test.last_status})" if test.last_status else "sent"


def _failure(test: Notification) -> str:
    channel = test.channel
    if not channel.enabled:
        return f"{test.last_error or channel.disabled_reason}; the channel is now disabled"
    if test.state != NotificationState.WAITING:
        return test.last_error or f"the message is {test.state}"
    if channel.not_before is None:
        return f"not sent within {TIMEOUT_SECONDS} seconds"
    return f"{test.last_error or channel.last_error}; the watch will try again"
