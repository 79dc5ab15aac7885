"""The form for a new API token: its name, scopes, lifetime and owner."""

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib.auth import get_user_model
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from logs.models import ApiToken
from logs.permissions import SCOPES, may

# fmt: off
SCOPE_LABELS = {
    "events":     gettext_lazy("Read events and the states of workflows"),
    "deliveries": gettext_lazy("Read deliveries: outcomes, headers, and what refused ones claim"),
    "bodies":     gettext_lazy("Read bodies: what CircleCI sent, with e-mail addresses"),
    "replay":     gettext_lazy("Replay deliveries, which changes the log"),
}
LIFETIMES = {
    "30":    gettext_lazy("in 30 days"),
    "90":    gettext_lazy("in 90 days"),
    "365":   gettext_lazy("in 365 days"),
    "never": gettext_lazy("never"),
}
# fmt: on


class TokenForm(forms.Form):
    """A new token. Superusers select its owner; the tokens of others are their own."""

    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=ApiToken._meta.get_field("name").max_length,
        help_text=gettext_lazy("The program that uses the token."),
    )
    scopes = forms.MultipleChoiceField(
        label=gettext_lazy("The token may"),
        choices=list(SCOPE_LABELS.items()),
        initial=["events"],
        widget=forms.CheckboxSelectMultiple,
    )
    days = forms.ChoiceField(label=gettext_lazy("Expires"), choices=list(LIFETIMES.items()), initial="90")
    owner = forms.ModelChoiceField(
        label=gettext_lazy("Owner"),
        queryset=get_user_model()._default_manager.filter(is_active=True).order_by("username"),
        empty_label=None,
        help_text=gettext_lazy("The token has at most its owner's permissions, and ends with the owner's account."),
    )

    def __init__(self, data: Any = None, *, user: Any) -> None:
        super().__init__(data, initial={"owner": user.pk})
        self._user = user
        self.fields["name"].widget.attrs["autocomplete"] = "off"
        if not user.is_superuser:
            del self.fields["owner"]

    def clean(self) -> dict[str, Any]:
        """Reject scopes that would not work: each needs a permission of the owner, and some need another scope."""
        cleaned = super().clean() or {}
        owner, scopes = cleaned.get("owner", self._user), cleaned.get("scopes", [])
        for scope in scopes:
            if not may(owner, SCOPES[scope]):
                self.add_error("scopes", _missing_permission(owner, scope))
        if "replay" in scopes and "deliveries" not in scopes:
            self.add_error("scopes", _("A replay also needs deliveries."))
        elif scopes == ["bodies"]:
            self.add_error("scopes", _("Bodies also need events or deliveries."))
        return cleaned

    def issue(self) -> tuple[ApiToken, str]:
        """Create the token; return the token and its key, which is not stored."""
        given = self.cleaned_data
        lifetime = None if given["days"] == "never" else timedelta(days=int(given["days"]))
        owner = given.get("owner", self._user)
        return ApiToken.issue(owner, name=given["name"], lifetime=lifetime, scopes=given["scopes"])


def _missing_permission(owner: Any, scope: str) -> str:
    message = _("%(scope)s: %(owner)s lacks the permission %(permission)s, which an administrator can grant.")
    return message % {"scope": scope, "owner": owner, "permission": SCOPES[scope]}
