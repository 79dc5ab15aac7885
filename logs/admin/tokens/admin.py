"""API tokens in the admin: created, viewed and revoked, but never changed."""

import shlex
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from logs.admin.inspector import RevocableAdmin
from logs.admin.tokens.form import TokenForm
from logs.circleci.vocabulary import Tone
from logs.http.full_urls import full_url
from logs.models import ApiToken
from logs.templatetags.display import pill, timestamp
from logs.times import DAY

MAX_NAMED = 10  # Tokens that expire soon.


@admin.register(ApiToken)
class ApiTokenAdmin(RevocableAdmin):
    """Lists tokens by their first characters; deleting a token revokes it."""

    list_display = ["name", "user", "scope_names", "beginning", "state", "made", "expires", "last_used"]
    list_select_related = ["user"]
    search_fields = ["name", "token_key__startswith", "user__username"]
    search_help_text = _("Name, user, or the first 15 characters of a token.")
    ordering = ["-created", "-pk"]
    revoke_title = _("Revoke API token")
    revoked_message = _("Revoked %s. Requests with it now get status 401.")

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the list, above it the tokens that expire soon."""
        soon = ApiToken.expiring_soon()[:MAX_NAMED]
        expiring = [(token, _remaining(token.expiry)) for token in soon if token.expiry]
        return super().changelist_view(request, {"expiring": expiring, "title": _("API tokens")})

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Create a token and show it once, in the response: the key is stored neither here nor in a cookie.

        Raises:
            PermissionDenied: the user may not create tokens.
        """
        if not self.has_add_permission(request):
            raise PermissionDenied
        context = {**self.admin_site.each_context(request), "opts": self.opts, "title": gettext("New API token")}
        context["submit_label"] = gettext("Create API token")
        form = TokenForm(request.POST or None, user=request.user)
        if request.method != "POST" or not form.is_valid():
            return TemplateResponse(request, "logs/admin/issue_form.html", context | {"form": form})
        with transaction.atomic():
            token, key = form.issue()
            self.log_addition(request, token, gettext("Created."))
        made = {"title": token.name, "token": token, "key": key, "curl": _curl(request, token, key)}
        return TemplateResponse(request, "logs/admin/token_made.html", context | made)

    @admin.display(description=_("scopes"), ordering="scopes")
    def scope_names(self, token: ApiToken) -> str:
        """Show the scopes."""
        return gettext("all that the user may") if token.scopes is None else token.scopes.replace(" ", ", ")

    @admin.display(description=_("begins with"), ordering="token_key")
    def beginning(self, token: ApiToken) -> SafeString:
        """Show the token's first characters."""
        return format_html("<code>{}</code>", token.token_key)

    @admin.display(description=_("state"))
    def state(self, token: ApiToken) -> SafeString | str:
        """Show whether the token is accepted, and whether it expires soon."""
        if token.is_expired:
            return pill(gettext("expired"), Tone.BAD)
        if not token.user.is_active:
            return pill(gettext("user inactive"), Tone.BAD)
        if token.expiry and token.expires_soon:
            return pill(gettext("expires %(when)s") % {"when": _remaining(token.expiry)}, Tone.WAITING)
        return pill(gettext("valid"), Tone.GOOD)

    @admin.display(description=_("created"), ordering="created")
    def made(self, token: ApiToken) -> SafeString | str:
        """Show when the token was created."""
        return timestamp(token.created)

    @admin.display(description=_("expires"), ordering="expiry")
    def expires(self, token: ApiToken) -> SafeString | str:
        """Show when the token expires."""
        return timestamp(token.expiry) if token.expiry else gettext("never")

    @admin.display(description=_("last used"), ordering="last_used_at")
    def last_used(self, token: ApiToken) -> SafeString | str:
        """Show when the token was last used."""
        return timestamp(token.last_used_at)


def _remaining(expiry: datetime) -> str:
    """Return the time until an expiry in whole days."""
    days = (expiry - timezone.now()) // DAY
    return ngettext("in %(days)s day", "in %(days)s days", days) % {"days": days} if days else gettext("within a day")


def _curl(request: HttpRequest, token: ApiToken, key: str) -> str:
    """Return a command that reads one row with a token."""
    page = "logs:events" if "events" in (token.scopes or "").split() else "logs:deliveries"
    url = full_url(request, reverse(page))
    return shlex.join(["curl", "-H", f"Authorization: Bearer {key}", f"{url}?limit=1"])
