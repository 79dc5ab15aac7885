"""Deliver one message through its channel's transport; whatever the transport does, the result is an outcome."""

import logging
import traceback
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from logs.models.notifications import Notification
from logs.notifications import guard
from logs.notifications.channels import PLUGINS
from logs.notifications.channels.base import Dead, Later, Message, Outcome, Refused, Sent, Transport
from logs.notifications.channels.plugins import deliver_in_time
from logs.notifications.content import Content
from logs.notifications.hiding import hidden_parts, without

logger = logging.getLogger(__name__)


def deliver(
    transport: Transport, notification: Notification, content: Content | None, secrets: Mapping[str, str]
) -> tuple[Outcome, int | None]:
    """Return the outcome and the HTTP status, if there is one; secrets are removed from the outcome's reason.

    Args:
        transport: how the notification's channel sends.
        notification: what is sent.
        content: its content; None if it could not be composed.
        secrets: the channel's secret options, unsealed.
    """
    if content is None:
        return Refused(reason="internal error: the message cannot be composed"), None
    message = Message(
        id=notification.pk,
        thread=notification.thread,
        content=content,
        settings=notification.channel.options | secrets,
    )
    hidden = hidden_parts(secrets.values())

    def send(request: guard.Request) -> guard.Response:
        response = guard.send(request)
        return replace(response, body=without(hidden, response.text).encode())

    deliver_message = partial(deliver_in_time, transport) if transport.kind in PLUGINS else transport.deliver
    try:
        outcome, status = deliver_message(message, send)
    except guard.ForbiddenAddress as error:
        return Dead(reason=str(error), is_certain=False), None
    except guard.Unreachable as error:
        return Later(reason=str(error)), None
    except Exception as error:  # noqa: BLE001 - a faulty transport must not end the sender
        # Without the error's text, which may contain secrets.
        frames = "".join(traceback.format_tb(error.__traceback__))
        text = "channel of kind %s: notification %s could not be sent: %s\n%s"
        logger.error(text, transport.kind, notification.pk, type(error).__name__, frames)  # noqa: TRY400 - see above
        return Later(reason=f"internal error: {type(error).__name__}"), None
    return outcome if isinstance(outcome, Sent) else replace(outcome, reason=without(hidden, outcome.reason)), status
