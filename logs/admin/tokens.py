"""API tokens in the admin: created, viewed and revoked, but never changed."""

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.db.models import Model
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from knox.settings import knox_settings

from logs.admin.inspector import InspectorAdmin
from logs.circleci.vocabulary import Tone
from logs.models import ApiToken
from logs.templatetags.display import pill, timestamp

MAX_DAYS = 99_999


class ApiTokenForm(forms.ModelForm):  # type: ignore[type-arg]  # It takes no type at run time.
    """The owner, name and lifetime of a new token."""

    days = forms.IntegerField(
        label=_("Days until expiry"),
        help_text=_("Leave empty for a token that never expires."),
        initial=knox_settings.TOKEN_TTL.days,
        min_value=1,
        max_value=MAX_DAYS,
        required=False,
    )


@admin.register(ApiToken)
class ApiTokenAdmin(InspectorAdmin):
    """Lists tokens by their first characters; deleting a token revokes it."""

    form = ApiTokenForm
    list_display = ["name", "user", "beginning", "state", "made", "expires", "last_used"]
    search_fields = ["name", "token_key__startswith", "user__username"]
    search_help_text = _("Name, user, or the first 15 characters of a token.")
    ordering = ["-created", "-pk"]

    def get_fields(self, request: HttpRequest, obj: ApiToken | None = None) -> Any:
        """Return the fields of a new token, or of an existing one."""
        return ["user", "name", "days"] if obj is None else self.list_display

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Offer all active users to superusers, but only themselves to others: a token has its user's permissions."""
        users = get_user_model().objects.filter(is_active=True)
        own = users.filter(username=request.user.get_username())
        kwargs |= {"queryset": users if request.user.is_superuser else own, "initial": request.user.pk}
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def save_form(self, request: HttpRequest, form: Any, change: Any) -> ApiToken:
        """Create the token and show it once."""
        asked = super().save_form(request, form, change)
        days = form.cleaned_data["days"]
        token, key = ApiToken.issue(asked.user, name=asked.name, lifetime=timedelta(days=days) if days else None)
        message = format_html("{} <code>{}</code>", gettext("Copy the token now. It is not shown again:"), key)
        self.message_user(request, message, messages.WARNING)
        return token

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may create tokens."""
        return request.user.has_perm("logs.add_apitoken")

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Return whether the user may revoke tokens."""
        return request.user.has_perm("logs.delete_apitoken")

    @admin.display(description=_("begins with"), ordering="token_key")
    def beginning(self, token: ApiToken) -> SafeString:
        """Show the token's first characters."""
        return format_html("<code>{}</code>", token.token_key)

    @admin.display(description=_("state"))
    def state(self, token: ApiToken) -> SafeString | str:
        """Show whether the token is accepted."""
        if token.is_expired:
            return pill(gettext("expired"), Tone.BAD)
        return pill(gettext("valid"), Tone.GOOD) if token.user.is_active else pill(gettext("user inactive"), Tone.BAD)

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
