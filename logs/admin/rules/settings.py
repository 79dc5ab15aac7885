"""Add a rule, change its settings, and try it before it is saved."""

from dataclasses import replace
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from logs.admin.rules.form import RuleForm
from logs.admin.rules.prefill import initial_of
from logs.admin.rules.trial import ShownTrial, shown_trial
from logs.models import Rule, Subject
from logs.notifications.trying import try_rule
from logs.permissions import ADD_CHANNELS, ADD_RULES, CHANGE_RULES, VIEW_EVENTS


def add_view(model_admin: Any, request: HttpRequest) -> HttpResponse:
    """Add a rule, or try it; the query may ask for a rule that pages offer.

    Raises:
        PermissionDenied: the user may not add rules.
    """
    if not (model_admin.has_view_permission(request) and request.user.has_perm(ADD_RULES)):
        raise PermissionDenied
    form = RuleForm(request.POST or None, instance=Rule(), initial=initial_of(request.GET))
    if _is_saved(request, form):
        with transaction.atomic():
            rule = _write(form, request)
            model_admin.log_addition(request, rule, _("Added."))
        model_admin.message_user(request, _("Rule added."), messages.SUCCESS)
        return HttpResponseRedirect(reverse("admin:logs_rule_change", args=[rule.pk]))
    back_url = reverse("admin:logs_rule_changelist")
    return _show(model_admin, request, form, title=_("Add rule"), back_url=back_url)


def settings_view(model_admin: Any, request: HttpRequest, pk: int) -> HttpResponse:
    """Change the settings of a rule, or try them.

    Raises:
        PermissionDenied: the user may not change rules.
    """
    if not (model_admin.has_view_permission(request) and request.user.has_perm(CHANGE_RULES)):
        raise PermissionDenied
    rule = model_admin.get_object(request, str(pk))
    if rule is None:
        answer: HttpResponse = model_admin.redirect_from_missing(request, str(pk))
        return answer
    page, title = reverse("admin:logs_rule_change", args=[pk]), _("Edit %(name)s") % {"name": rule}
    form = RuleForm(request.POST or None, instance=rule)
    if _is_saved(request, form):
        if form.changes:
            with transaction.atomic():
                message = _("Changed: %(fields)s.") % {"fields": ", ".join(form.changes)}
                model_admin.log_change(request, _write(form, request), message)
            model_admin.message_user(request, message, messages.SUCCESS)
        return HttpResponseRedirect(page)
    return _show(model_admin, request, form, title=title, back_url=page)


def _is_saved(request: HttpRequest, form: RuleForm) -> bool:
    return request.method == "POST" and "try" not in request.POST and form.is_valid()


def _tried(request: HttpRequest, form: RuleForm) -> ShownTrial | None:
    """Return the result of a trial, which writes nothing; None if it was not requested or is impossible."""
    if "try" not in request.POST or not form.is_valid() or form.instance.subject == Subject.LOG:
        return None
    found = try_rule(form.instance, list(form.cleaned_data["channels"]), now=timezone.now())
    trial = shown_trial(found, form.instance.subject)
    return trial if request.user.has_perm(VIEW_EVENTS) else replace(trial, messages=(), more=0)


def _write(form: RuleForm, request: HttpRequest) -> Rule:
    rule: Rule = form.save(commit=False)
    rule.changed_by, rule.changed_at = request.user, timezone.now()  # type: ignore[assignment]  # Signed in.
    if form.is_new:
        rule.created_by, rule.created_at = rule.changed_by, rule.changed_at
    rule.save()
    form.save_m2m()
    return rule


def _show(model_admin: Any, request: HttpRequest, form: RuleForm, *, title: str, back_url: str) -> HttpResponse:
    context = {
        **model_admin.admin_site.each_context(request),
        "title": title,
        "opts": model_admin.opts,
        "form": form,
        "is_new": form.is_new,
        "trial": _tried(request, form),
        "is_trial_impossible": "try" in request.POST and form["subject"].value() == Subject.LOG,
        "may_add_channels": request.user.has_perm(ADD_CHANNELS),
        "back_url": back_url,
    }
    return TemplateResponse(request, "logs/admin/rule_form.html", context)
