"""The context of a notification's page, limited to what the user may view."""

from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext as _

from logs.admin.notifications.shown import shown
from logs.models import Notification, NotificationKind, NotificationState, Rule
from logs.notifications.resending import RESENDABLE, original_of
from logs.permissions import RESEND, VIEW_CHANNELS, VIEW_EVENTS, VIEW_RULES

SHOWN_PARTS = 50


def notification_context(request: HttpRequest, notification: Notification) -> dict[str, Any]:
    """Return the context of a notification's page; the number of queries is fixed."""
    may = request.user.has_perm
    this = shown(notification, may_see_events=may(VIEW_EVENTS))
    parts = list(notification.parts.select_related("change", "event", "alarm").order_by("pk")[: SHOWN_PARTS + 1])
    kind = notification.get_kind_display()
    return {
        "title": f"{kind}: {this.subject}" if this.subject else _("Notification: %(kind)s") % {"kind": kind},
        "this": this,
        "notification": notification,
        "channel": notification.channel,
        "content": notification.content,
        "rule": Rule.objects.filter(pk=notification.rule_id).first() if notification.rule_id else None,
        "attempts": list(notification.attempts.order_by("pk")),
        "parts": [shown(part, may_see_events=False) for part in parts[:SHOWN_PARTS]],
        "has_more_parts": len(parts) > SHOWN_PARTS,
        "original": original_of(notification),
        "may_view_channels": may(VIEW_CHANNELS),
        "may_view_rules": may(VIEW_RULES),
        "may_resend": may(RESEND),
        "is_resendable": notification.state in RESENDABLE and notification.kind != NotificationKind.TEST,
        "is_waiting": notification.state == NotificationState.WAITING,
    }
