"""Test, mute, disable and enable a channel."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from logs.models import Channel
from logs.notifications.channels import TRANSPORTS
from logs.notifications.outbox import ChannelDisabled, add_test
from logs.permissions import CHANGE_CHANNELS, TEST_CHANNELS

MORNING_HOUR = 8


class Impossible(Exception):
    """An action makes no sense in the channel's state; the message says what to do first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """A button of a channel's page."""

    permission: str
    perform: Callable[[HttpRequest, Channel], tuple[str, str]]  # Returns texts for the audit log and for the user.


def action_view(model_admin: Any, request: HttpRequest, pk: int, *, action: Action) -> HttpResponse:
    """Perform an action on a channel, record it, and redirect to the channel's page.

    Raises:
        PermissionDenied: the user may not do this.
    """
    if not (model_admin.has_view_permission(request) and request.user.has_perm(action.permission)):
        raise PermissionDenied
    page = HttpResponseRedirect(reverse("admin:logs_channel_change", args=[pk]))
    channel = model_admin.get_object(request, str(pk))
    if channel is None or request.method != "POST":  # After signing in again, the browser sends a GET.
        return page
    try:
        with transaction.atomic():
            recorded, message = action.perform(request, channel)
            model_admin.log_change(request, channel, recorded)
    except Impossible as error:
        model_admin.message_user(request, str(error), messages.WARNING)
    else:
        model_admin.message_user(request, message, messages.SUCCESS)
    return page


def mute_choices() -> Mapping[str, Promise]:
    """Return the durations of muting that a channel's page offers."""
    return {name: label for name, (label, _end) in MUTES.items()}


def next_morning(now: datetime) -> datetime:
    """Return 08:00 UTC of the next day."""
    return (now + timedelta(days=1)).replace(hour=MORNING_HOUR, minute=0, second=0, microsecond=0)


def _test(request: HttpRequest, channel: Channel) -> tuple[str, str]:
    if channel.is_muted:
        raise Impossible(_("Unmute the channel before you test it."))
    if channel.kind not in TRANSPORTS:
        raise Impossible(_("This site cannot send to this kind of channel: see CHANNEL_PLUGINS."))
    try:
        add_test(channel)
    except ChannelDisabled as error:
        raise Impossible(_("Enable the channel before you test it.")) from error
    return _("Requested a test message."), _("Test message queued. Its result appears on this page within seconds.")


def _mute(request: HttpRequest, channel: Channel) -> tuple[str, str]:
    choice = MUTES.get(request.POST.get("until", ""))
    if choice is None:
        raise Impossible(_("Select how long to mute the channel."))
    until = choice[1](timezone.now())
    _record_change(request, channel)
    channel.mute(until)
    message = _("Muted until %(time)s UTC.") % {"time": f"{until:%Y-%m-%d %H:%M}"}
    return message, message


def _unmute(request: HttpRequest, channel: Channel) -> tuple[str, str]:
    _record_change(request, channel)
    channel.mute(None)
    return _("Unmuted."), _("Unmuted.")


def _disable(request: HttpRequest, channel: Channel) -> tuple[str, str]:
    if not channel.enabled:  # Its reason would be lost.
        raise Impossible(_("The channel is disabled already."))
    _record_change(request, channel)
    channel.disable()
    return _("Disabled."), _("Disabled. New changes are not reported to this channel.")


def _enable(request: HttpRequest, channel: Channel) -> tuple[str, str]:
    if channel.enabled:
        raise Impossible(_("The channel is enabled already."))
    _record_change(request, channel)
    channel.enable()
    return _("Enabled."), _("Enabled. Messages that have not expired are sent now.")


def _record_change(request: HttpRequest, channel: Channel) -> None:
    channel.changed_by, channel.changed_at = request.user, timezone.now()  # type: ignore[assignment]  # Signed in.
    channel.save(update_fields=["changed_by", "changed_at"])


# fmt: off
MUTES: Mapping[str, tuple[Promise, Callable[[datetime], datetime]]] = {
    "1h":      (gettext_lazy("for 1 hour"),                       lambda now: now + timedelta(hours=1)),
    "4h":      (gettext_lazy("for 4 hours"),                      lambda now: now + timedelta(hours=4)),
    "morning": (gettext_lazy("until tomorrow 08:00 UTC"),     next_morning),
    "7d":      (gettext_lazy("for 7 days"),                       lambda now: now + timedelta(days=7)),
}

ACTIONS = {
    "test":    Action(permission=TEST_CHANNELS,   perform=_test),
    "mute":    Action(permission=TEST_CHANNELS,   perform=_mute),
    "unmute":  Action(permission=TEST_CHANNELS,   perform=_unmute),
    "disable": Action(permission=CHANGE_CHANNELS, perform=_disable),
    "enable":  Action(permission=CHANGE_CHANNELS, perform=_enable),
}
# fmt: on
