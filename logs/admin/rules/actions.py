"""Enable and disable a rule."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from logs.permissions import CHANGE_RULES


def switch_view(model_admin: Any, request: HttpRequest, pk: int, *, is_enabled: bool) -> HttpResponse:
    """Enable or disable a rule, record it, and redirect to the rule's page.

    Raises:
        PermissionDenied: the user may not change rules.
    """
    if not (model_admin.has_view_permission(request) and request.user.has_perm(CHANGE_RULES)):
        raise PermissionDenied
    rule = model_admin.get_object(request, str(pk))
    # After signing in again, the browser sends a GET.
    if rule is not None and request.method == "POST" and rule.enabled != is_enabled:
        message = _("Enabled.") if is_enabled else _("Disabled.")
        rule.enabled, rule.changed_by, rule.changed_at = is_enabled, request.user, timezone.now()
        with transaction.atomic():
            rule.save(update_fields=["enabled", "changed_by", "changed_at"])
            model_admin.log_change(request, rule, message)
        model_admin.message_user(request, message, messages.SUCCESS)
    return HttpResponseRedirect(reverse("admin:logs_rule_change", args=[pk]))
