"""Mute and unmute sources: one project, a webhook with all its projects, or all webhooks."""

import re
from collections.abc import Sequence
from datetime import date as date_type
from datetime import datetime, time, timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from logs import conf
from logs.models import Source
from logs.permissions import MUTE_SOURCES

ALL = "all"
WEBHOOK = "webhook:"  # Is followed by the webhook's name; any other target is a source's primary key.
DATE = "date"
LONGEST_DAYS = 366
_KEY = re.compile(r"[0-9]{1,18}")
DURATIONS = {"1d": timedelta(days=1), "7d": timedelta(days=7)}


class MuteForm(forms.Form):
    """Until when sources are muted."""

    until = forms.ChoiceField(
        label=gettext_lazy("Mute"),
        choices=[
            ("1d", gettext_lazy("for 1 day")),
            ("7d", gettext_lazy("for 7 days")),
            (DATE, gettext_lazy("until a date")),
        ],
        initial="1d",
        widget=forms.RadioSelect,
    )
    date = forms.DateField(
        label=gettext_lazy("Date"),
        help_text=gettext_lazy("Until 00:00 UTC of that day."),
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}),
    )

    def clean(self) -> dict[str, Any]:
        """Require a future date if one is needed."""
        cleaned: dict[str, Any] = super().clean() or {}
        date: date_type | None = cleaned.get("date")
        if cleaned.get("until") == DATE and "date" not in self.errors:
            today = timezone.now().date()
            if date is None or not today < date <= today + timedelta(days=LONGEST_DAYS):
                raise ValidationError({"date": _("Enter a date from tomorrow to a year from now.")})
        return cleaned

    def end(self) -> datetime:
        """Return when the muting ends."""
        if self.cleaned_data["until"] == DATE:
            return datetime.combine(self.cleaned_data["date"], time.min, timezone.now().tzinfo)
        return timezone.now() + DURATIONS[self.cleaned_data["until"]]


def mute_view(model_admin: Any, request: HttpRequest) -> HttpResponse:
    """Ask how long to mute the sources named by `target`, and mute them.

    Raises:
        PermissionDenied: the user may not mute sources.
    """
    target = _checked_target(model_admin, request)
    form = MuteForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        until = form.end()
        text = _("Muted until %(time)s UTC.") % {"time": f"{until:%Y-%m-%d %H:%M}"}
        return _write(model_admin, request, target, until=until, text=text)
    context = {
        **model_admin.admin_site.each_context(request),
        "title": _("Mute sources"),
        "opts": model_admin.opts,
        "form": form,
        "target": target,
        "name": _name_of(target),
    }
    return TemplateResponse(request, "logs/admin/sources/mute.html", context)


def unmute_view(model_admin: Any, request: HttpRequest) -> HttpResponse:
    """Unmute the sources named by `target`.

    Raises:
        PermissionDenied: the user may not mute sources.
    """
    target = _checked_target(model_admin, request)
    if request.method != "POST":  # After signing in again, the browser sends a GET.
        return HttpResponseRedirect(reverse("admin:logs_source_changelist"))
    return _write(model_admin, request, target, until=None, text=_("Unmuted."))


def _checked_target(model_admin: Any, request: HttpRequest) -> str:
    """Return the target, once it is sure that the user may mute it and that it exists."""
    if not (model_admin.has_view_permission(request) and request.user.has_perm(MUTE_SOURCES)):
        raise PermissionDenied
    target = (request.POST if request.method == "POST" else request.GET).get("target", "")
    if not _exists(target):
        raise Http404
    return target


def _exists(target: str) -> bool:
    if target == ALL:
        return True
    if target.startswith(WEBHOOK):
        return target.removeprefix(WEBHOOK) in _webhooks()
    return bool(_KEY.fullmatch(target)) and Source.objects.filter(pk=target).exists()


def _webhooks() -> list[str]:
    """Return the names of the webhooks that are configured, and of others that have sources."""
    configured = [webhook.name for webhook in conf.webhooks()]
    known = Source.objects.order_by("webhook").values_list("webhook", flat=True).distinct()
    return [*configured, *(name for name in known if name not in configured)]


def _name_of(target: str) -> str:
    if target == ALL:
        return _("all webhooks")
    return target.removeprefix(WEBHOOK) if target.startswith(WEBHOOK) else str(Source.objects.get(pk=target))


def _write(model_admin: Any, request: HttpRequest, target: str, *, until: datetime | None, text: str) -> HttpResponse:
    with transaction.atomic():
        sources = _targeted(target, is_end=until is None)
        for source in sources:
            source.muted_until = until
            source.muted_by = request.user if until else None  # type: ignore[assignment]  # Signed in.
            source.save(update_fields=["muted_until", "muted_by"])
            model_admin.log_change(request, source, text)
    count = ngettext("%(name)s: %(text)s", "%(count)d sources: %(text)s", len(sources))
    message = count % {"name": sources[0] if sources else "", "count": len(sources), "text": text}
    model_admin.message_user(request, message, messages.SUCCESS)
    return HttpResponseRedirect(reverse("admin:logs_source_changelist"))


def _targeted(target: str, *, is_end: bool) -> Sequence[Source]:
    """Return the rows that are written: those of webhooks also mute the webhooks' projects. All that are muted end."""
    if target == ALL and is_end:
        return list(Source.objects.filter(muted_until__gt=timezone.now()))
    if target == ALL or target.startswith(WEBHOOK):
        names = _webhooks() if target == ALL else [target.removeprefix(WEBHOOK)]
        return [Source.objects.get_or_create(webhook=name, project_slug="")[0] for name in names]
    return list(Source.objects.filter(pk=target))
