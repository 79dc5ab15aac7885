"""Send a notification again, and drop one that waits."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _

from logs.models import Notification
from logs.notifications.resending import Impossible, drop, send_again
from logs.permissions import RESEND

# Performs an action; returns a text for the audit log, and the notification that the next page shows.
Perform = Callable[[Notification], tuple[str, Notification]]


def action_view(model_admin: Any, request: HttpRequest, pk: int, *, perform: Perform) -> HttpResponse:
    """Perform an action on a notification, record it, and redirect to the page of the result.

    Raises:
        PermissionDenied: the user may not do this.
    """
    if not (model_admin.has_view_permission(request) and request.user.has_perm(RESEND)):
        raise PermissionDenied
    notification = model_admin.get_object(request, str(pk))
    if notification is not None and request.method == "POST":  # After signing in again, the browser sends a GET.
        try:
            with transaction.atomic():
                message, shown = perform(notification)
                model_admin.log_change(request, notification, message)
        except Impossible as error:
            model_admin.message_user(request, str(error), messages.WARNING)
        else:
            model_admin.message_user(request, message, messages.SUCCESS)
            return _page_of(shown.pk)
    return _page_of(pk)


def _again(notification: Notification) -> tuple[str, Notification]:
    copy = send_again(notification.pk)
    return _("Queued to be sent again, as notification %(key)s.") % {"key": copy.pk}, copy


def _drop(notification: Notification) -> tuple[str, Notification]:
    drop(notification.pk)
    return _("Dropped."), notification


def _page_of(key: int) -> HttpResponse:
    return HttpResponseRedirect(reverse("admin:logs_notification_change", args=[key]))


ACTIONS: dict[str, Perform] = {"again": _again, "drop": _drop}
