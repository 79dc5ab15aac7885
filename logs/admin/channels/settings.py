"""Add a channel, and change its settings."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters

from logs.admin.channels.actions import ACTIONS
from logs.admin.channels.form import ChannelForm
from logs.admin.channels.secrets import StoredSecrets, read_secrets, sealed
from logs.models import Channel
from logs.notifications.channels import TRANSPORTS
from logs.notifications.channels.base import Transport
from logs.permissions import ADD_CHANNELS, CHANGE_CHANNELS, TEST_CHANNELS

hide_post_parameters = method_decorator(sensitive_post_parameters())  # On the exception page; they contain secrets.


@hide_post_parameters
def add_view(model_admin: "admin.ModelAdmin[Channel]", request: HttpRequest) -> HttpResponse:
    """Add a channel of the kind in the query; without one, offer the kinds.

    Raises:
        PermissionDenied: the user may not add channels.
    """
    if not (model_admin.has_view_permission(request) and request.user.has_perm(ADD_CHANNELS)):
        raise PermissionDenied
    kind = request.GET.get("kind", "")
    transport = TRANSPORTS.get(kind)
    if transport is None:
        return _choose_kind(model_admin, request, kind)
    form = ChannelForm(request.POST or None, channel=Channel(kind=kind), transport=transport, secrets=StoredSecrets())
    if request.method == "POST" and form.is_valid():
        with transaction.atomic():
            channel = _write(form, request)
            model_admin.log_addition(request, channel, _("Added: %(kind)s.") % {"kind": transport.title})
            message = _("Channel added. Send a test message to check it.")
            if "test" in request.POST and request.user.has_perm(TEST_CHANNELS):
                recorded, message = ACTIONS["test"].perform(request, channel)
                model_admin.log_change(request, channel, recorded)
        model_admin.message_user(request, message, messages.SUCCESS)
        return HttpResponseRedirect(reverse("admin:logs_channel_change", args=[channel.pk]))
    title = _("Add %(kind)s channel") % {"kind": transport.title}
    return _show(model_admin, request, form, title=title, back_url=reverse("admin:logs_channel_add"))


@hide_post_parameters
def settings_view(model_admin: Any, request: HttpRequest, pk: int) -> HttpResponse:
    """Change the settings of a channel.

    Raises:
        PermissionDenied: the user may not change channels.
    """
    if not (model_admin.has_view_permission(request) and request.user.has_perm(CHANGE_CHANNELS)):
        raise PermissionDenied
    channel = model_admin.get_object(request, str(pk))
    if channel is None or channel.kind not in TRANSPORTS:
        answer: HttpResponse = model_admin.redirect_from_missing(request, str(pk))
        return answer
    page, title = reverse("admin:logs_channel_change", args=[pk]), _("Edit %(name)s") % {"name": channel}
    transport, secrets = TRANSPORTS[channel.kind], read_secrets(channel)
    form = ChannelForm(request.POST or None, channel=channel, transport=transport, secrets=secrets)
    if request.method == "POST" and form.is_valid():
        if form.changed_data:
            with transaction.atomic():
                message = _("Changed: %(fields)s.") % {"fields": ", ".join(form.changes)}
                model_admin.log_change(request, _write(form, request), message)
            model_admin.message_user(request, message, messages.SUCCESS)
        return HttpResponseRedirect(page)
    return _show(model_admin, request, form, title=title, back_url=page)


def _choose_kind(model_admin: "admin.ModelAdmin[Channel]", request: HttpRequest, unknown: str) -> HttpResponse:
    context = {
        **model_admin.admin_site.each_context(request),
        "title": _("Add channel"),
        "opts": model_admin.opts,
        "transports": sorted(TRANSPORTS.values(), key=lambda transport: transport.title.lower()),
        "unknown": unknown,
    }
    return TemplateResponse(request, "logs/admin/channel_kinds.html", context, status=400 if unknown else 200)


def _show(
    model_admin: "admin.ModelAdmin[Channel]", request: HttpRequest, form: ChannelForm, *, title: str, back_url: str
) -> HttpResponse:
    context = {
        **model_admin.admin_site.each_context(request),
        "title": title,
        "opts": model_admin.opts,
        "form": form,
        "transport": form.transport,
        "is_new": form.is_new,
        "is_unreadable": not form.secrets.is_readable,
        "may_test": request.user.has_perm(TEST_CHANNELS),
        "back_url": back_url,
    }
    return TemplateResponse(request, "logs/admin/channel_form.html", context)


def _write(form: ChannelForm, request: HttpRequest) -> Channel:
    """Store a channel, but not the columns of its running state, which the watch may have written meanwhile."""
    channel: Channel = form.save(commit=False)
    transport: Transport = form.transport
    channel.options, channel.sealed = form.options, sealed(form.new_secrets)
    if not transport.is_combined:
        channel.hourly_limit = None
    channel.changed_by, channel.changed_at = request.user, timezone.now()  # type: ignore[assignment]  # Signed in.
    if form.is_new:
        channel.created_by, channel.created_at = channel.changed_by, channel.changed_at
        channel.save()
        return channel
    columns = ["name", "hourly_limit", "options", "sealed", "changed_by", "changed_at"]
    channel.save(update_fields=columns)
    if "hourly_limit" in form.changed_data:
        # The pause may be that of the old limit. Sending reads the new one; a failing channel keeps its pause.
        Channel.objects.filter(pk=channel.pk, failures_in_a_row=0).update(not_before=None)
    if form.has_new_settings and (channel.failures_in_a_row or channel.disabled_reason):
        channel.enable()  # Its failures were those of the old settings.
    return channel
