"""The result of a test message, in a sentence."""

from datetime import timedelta

from django.utils import timezone
from django.utils.translation import gettext as _

from logs.models import Channel, Notification, NotificationState
from logs.notifications.channels import TRANSPORTS

SHOWN_FOR = timedelta(minutes=15)
POLLED_FOR = timedelta(minutes=2)


def result_of(channel: Channel, test: Notification) -> str:
    """Return the result of a test, with the vendor's words; "" if the test is not recent."""
    if timezone.now() - test.created_at > SHOWN_FOR:
        return ""
    if test.state == NotificationState.SENT:
        return _sent(channel, test)
    is_waiting = test.state == NotificationState.WAITING and channel.enabled
    if test.last_error:
        text = _("The test failed and will be repeated: %(error)s") if is_waiting else _("The test failed: %(error)s")
        return text % {"error": test.last_error}
    return _("The test message is waiting to be sent …") if is_waiting else _("The test message was not sent.")


def is_running(channel: Channel, test: Notification) -> bool:
    """Return whether the result of a test may appear soon."""
    is_recent = timezone.now() - test.created_at < POLLED_FOR
    return is_recent and channel.enabled and test.state == NotificationState.WAITING


def _sent(channel: Channel, test: Notification) -> str:
    transport = TRANSPORTS.get(channel.kind)
    if transport and transport.opens_incidents:
        return _("The test succeeded. A test opens no incident or ticket.")
    if test.last_status == 202:
        return _("The test message was accepted (202), which does not prove that it is shown. Did it arrive?")
    return _("The test message was sent.")
