"""Try whether a pasted secret signed a refused delivery. The secret is compared, and nothing else."""

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth import get_user_model
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables

from logs.circleci.signature import verify
from logs.circleci.vocabulary import SIGNATURE_HEADER
from logs.exceptions import SignatureRefused
from logs.models import Delivery, Outcome
from logs.permissions import TRY_SECRETS, VIEW_DELIVERIES

MOST_ATTEMPTS = 5  # Of a user in a minute.
MINUTE = timedelta(minutes=1)
MAX_SECRET_LENGTH = 1_000
# In the audit log, in English whatever the user's language, because attempts are counted by these texts.
MATCH, NO_MATCH = "Tried a secret: match.", "Tried a secret: no match."
LINE_BREAK = gettext_lazy(
    "Match with a line break at the end: CircleCI's secret token ends with one. "
    "Enter it in CircleCI again, without the line break."
)
RESULTS: tuple[Promise, ...] = (
    gettext_lazy("Match: this secret signed the delivery. Add it to CIRCLECI_WEBHOOK_SECRETS, restart, then replay."),
    gettext_lazy("Match, without the surrounding white space. Check CIRCLECI_WEBHOOK_SECRETS for extra white space."),
    LINE_BREAK,
    LINE_BREAK,
)
NO_MATCH_RESULT = gettext_lazy(
    "No match, even without surrounding white space or with a line break at the end. Usual causes: it is another "
    "project's secret, or a proxy changed the body."
)
TOO_MANY = gettext_lazy("Not tried: at most 5 attempts a minute. Wait a minute.")


class SecretForm(forms.Form):
    """The secret to try. The form is never shown with the secret again."""

    secret = forms.CharField(
        label=gettext_lazy("Secret"),
        help_text=gettext_lazy("Compared with the signature; neither stored nor logged."),
        max_length=MAX_SECRET_LENGTH,
        strip=False,
        widget=forms.TextInput(
            attrs={"class": "secret", "autocomplete": "off", "autocapitalize": "off", "spellcheck": "false"}
        ),
    )


def can_try(delivery: Delivery) -> bool:
    """Return whether a secret can be tried: the delivery was refused and has a signature and its whole body."""
    is_signed = delivery.outcome == Outcome.UNVERIFIED and SIGNATURE_HEADER in delivery.headers
    return is_signed and delivery.is_whole


@method_decorator(sensitive_post_parameters())  # On the exception page.
def try_view(model_admin: Any, request: HttpRequest, pk: int) -> HttpResponse:
    """Ask for a secret, try it, and redirect to the result, so that the browser does not keep the secret.

    Raises:
        PermissionDenied: the user may not try secrets.
    """
    if not (request.user.has_perm(VIEW_DELIVERIES) and request.user.has_perm(TRY_SECRETS)):
        raise PermissionDenied
    delivery = model_admin.get_object(request, str(pk))
    if delivery is None or not can_try(delivery):
        return HttpResponseRedirect(reverse("admin:logs_delivery_change", args=[pk]))
    if request.method == "POST":
        _try_and_report(model_admin, request, delivery)
        return HttpResponseRedirect(request.path)
    context = {
        **model_admin.admin_site.each_context(request),
        "title": _("Try a secret"),
        "opts": model_admin.opts,
        "delivery": delivery,
        "form": SecretForm(),
    }
    return TemplateResponse(request, "logs/admin/try_secret.html", context)


@sensitive_variables()
def _try_and_report(model_admin: Any, request: HttpRequest, delivery: Delivery) -> None:
    form = SecretForm(request.POST)
    if not form.is_valid():
        model_admin.message_user(request, _("Enter a secret of at most 1,000 characters."), messages.ERROR)
        return
    with transaction.atomic():
        if _has_tried_too_often(request.user.pk):
            model_admin.message_user(request, TOO_MANY, messages.WARNING)
            return
        position = _matching_variant(delivery, form.cleaned_data["secret"])
        model_admin.log_change(request, delivery, NO_MATCH if position is None else MATCH)
    if position is None:
        model_admin.message_user(request, NO_MATCH_RESULT, messages.WARNING)
    else:
        model_admin.message_user(request, RESULTS[position], messages.SUCCESS)


def _has_tried_too_often(user_key: Any) -> bool:
    """Return whether the audit log has MOST_ATTEMPTS of the user's attempts; a user's attempts wait for each other."""
    list(get_user_model().objects.select_for_update().filter(pk=user_key).values_list("pk"))
    attempts = LogEntry.objects.filter(
        user=user_key,
        content_type=ContentType.objects.get_for_model(Delivery),
        action_flag=CHANGE,
        action_time__gt=timezone.now() - MINUTE,
        change_message__in=[MATCH, NO_MATCH],
    )
    return attempts.count() >= MOST_ATTEMPTS


@sensitive_variables()
def _matching_variant(delivery: Delivery, secret: str) -> int | None:
    """Return the position in RESULTS of the variant of the secret that signed a delivery; None if none did."""
    variants = [secret, secret.strip(), f"{secret.strip()}\n", f"{secret.strip()}\r\n"]
    try:
        return verify(bytes(delivery.body), delivery.headers.get(SIGNATURE_HEADER), variants)
    except SignatureRefused:
        return None
