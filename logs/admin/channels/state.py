"""What a channel does now, in a word, with the reason."""

from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from logs.circleci.vocabulary import Tone
from logs.models import Channel
from logs.notifications.channels import TRANSPORTS
from logs.times import duration


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelState:
    """The state of a channel, as pages show it."""

    word: str | Promise
    tone: Tone
    detail: str = ""  # The reason, usually in the vendor's words; untrusted.
    until: datetime | None = None  # When it ends; None if unknown.


UNREADABLE = ChannelState(word=gettext_lazy("secret unreadable"), tone=Tone.BAD)


def state_of(channel: Channel, *, waiting: int) -> ChannelState:
    """Return the state of a channel in which `waiting` notifications wait."""
    if channel.kind not in TRANSPORTS:
        return ChannelState(
            word=_("unknown kind"), tone=Tone.BAD, detail=_("This site cannot send to it: see CHANNEL_PLUGINS.")
        )
    if not channel.enabled:
        tone = Tone.BAD if channel.disabled_reason else Tone.STOPPED
        return ChannelState(word=_("disabled"), tone=tone, detail=channel.disabled_reason)
    if channel.is_muted:
        return ChannelState(word=_("muted"), tone=Tone.STOPPED, until=channel.muted_until)
    return _pause_of(channel, waiting) or _last_result_of(channel)


def _pause_of(channel: Channel, waiting: int) -> ChannelState | None:
    """Return the state of a channel that is failing or has reached its limit; None for any other."""
    seconds = (channel.not_before - timezone.now()).total_seconds() if channel.not_before else 0
    if not channel.failures_in_a_row:
        limit = ChannelState(word=_("hourly limit reached"), tone=Tone.WAITING, until=channel.not_before)
        return limit if seconds > 0 else None
    if seconds > 0:
        word, tone = _("retries in %(duration)s") % {"duration": duration(max(seconds, 1))}, Tone.WAITING
    elif waiting:
        word, tone = _("retries now"), Tone.WAITING
    else:
        word, tone = _("failing"), Tone.BAD
    return ChannelState(word=word, tone=tone, detail=channel.last_error)


def _last_result_of(channel: Channel) -> ChannelState:
    sent_at, failed_at = channel.last_sent_at, channel.last_error_at
    if failed_at and (sent_at is None or failed_at > sent_at):
        return ChannelState(word=_("last message failed"), tone=Tone.BAD, detail=channel.last_error)
    if sent_at:
        return ChannelState(word=_("works"), tone=Tone.GOOD)
    return ChannelState(word=_("never used"), tone=Tone.UNKNOWN)
