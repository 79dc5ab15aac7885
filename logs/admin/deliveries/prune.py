"""Retention in the admin: a preview, then the deletion once the operator has given a reason."""

import time
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _

from logs.admin.deliveries.reason import ReasonForm
from logs.models import Delivery
from logs.permissions import PRUNE, VIEW_DELIVERIES
from logs.retention import Rule, delete_in_batches, rules

MAX_COUNTED = 100_000
BATCH_SIZE = 1_000
MAX_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """The rows that a rule would delete now."""

    rule: Rule
    count: int  # At most MAX_COUNTED + 1.
    oldest: datetime | None
    newest: datetime | None

    @property
    def is_more_than_counted(self) -> bool:
        """Whether there are more than MAX_COUNTED rows."""
        return self.count > MAX_COUNTED


def forecast(rule: Rule) -> Forecast:
    """Count the rows that a rule would delete, up to MAX_COUNTED + 1."""
    times = rule.rows.values_list("received_at", flat=True)
    count = times[: MAX_COUNTED + 1].count()
    return Forecast(rule=rule, count=count, oldest=times.first(), newest=times.last())


def prune_view(model_admin: "admin.ModelAdmin[Delivery]", request: HttpRequest) -> HttpResponse:
    """Preview the rows that retention would delete, or delete them for a few seconds once the operator confirms.

    Raises:
        PermissionDenied: the user may not prune.
    """
    if not (request.user.has_perm(VIEW_DELIVERIES) and request.user.has_perm(PRUNE)):
        raise PermissionDenied
    form = ReasonForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        _prune(model_admin, request, form.cleaned_data["reason"])
        return HttpResponseRedirect(reverse("admin:logs_delivery_prune"))
    forecasts = [forecast(rule) for rule in rules()]
    context = {
        **model_admin.admin_site.each_context(request),
        "title": _("Apply retention"),
        "form": form,
        "forecasts": forecasts,
        "max_counted": MAX_COUNTED,
        "max_seconds": round(MAX_SECONDS),
        "has_something_to_delete": any(each.count for each in forecasts),
    }
    return TemplateResponse(request, "logs/admin/prune.html", context)


def _prune(model_admin: "admin.ModelAdmin[Delivery]", request: HttpRequest, reason: str) -> None:
    deleted = Counter[str]()
    try:
        _delete(deleted)
    finally:  # The batches before a database failure stay deleted and must be recorded.
        _record(request.user.pk, deleted, reason)
    message = _("Deleted: %(account)s.") % {"account": _account(deleted)}
    if any(rule.rows.exists() for rule in rules()):
        message += " " + _("More remain: delete again, or run manage.py prune.")
        model_admin.message_user(request, message, messages.WARNING)
    else:
        model_admin.message_user(request, message, messages.SUCCESS)


def _delete(deleted: Counter[str]) -> None:
    """Apply the rules for about MAX_SECONDS, and count the deleted rows per setting."""
    deadline = time.monotonic() + MAX_SECONDS
    for rule in rules():
        for count in delete_in_batches(rule.rows, size=BATCH_SIZE):
            deleted[rule.setting] += count
            if time.monotonic() >= deadline:
                return


def _record(user_key: Any, deleted: Counter[str], reason: str) -> None:
    """Write an audit entry. It has no link, because retention is not a row."""
    LogEntry.objects.create(
        user_id=user_key,
        content_type=ContentType.objects.get_for_model(Delivery),
        object_id=None,
        object_repr=_("retention"),
        action_flag=CHANGE,
        change_message=_("Pruned: %(account)s. Reason: %(reason)s") % {"account": _account(deleted), "reason": reason},
    )


def _account(deleted: Counter[str]) -> str:
    applied = [rule for rule in rules() if rule.limit]
    return ", ".join(f"{rule.subject} {deleted[rule.setting]} ({rule.setting}={rule.limit})" for rule in applied) or "0"
