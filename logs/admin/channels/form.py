"""The form for a channel: its name and limit, and the fields of its kind."""

import re
from collections.abc import Callable
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from logs.admin.channels.secrets import StoredSecrets
from logs.models import Channel
from logs.notifications.channels.base import Field, Transport

MAX_SETTING_LENGTH = 4_000
MAX_HOURLY_LIMIT = 1_000
SETTING, REMOVAL = "setting_", "remove_"  # Prefixes, so that a kind's fields cannot be called like the form's own.


class SecretInput(forms.PasswordInput):
    """A text field that hides its text and is always empty at first.

    It is not a password field, because browsers would fill in the user's own password.
    """

    input_type = "text"

    def __init__(self) -> None:
        super().__init__(
            attrs={"class": "secret", "autocomplete": "off", "autocapitalize": "off", "spellcheck": "false"}
        )


class ChannelForm(forms.ModelForm):  # type: ignore[type-arg]  # It takes no type at run time.
    """The settings of a channel. Secrets are entered but never shown; an empty field keeps the stored secret."""

    hourly_limit = forms.IntegerField(
        label=gettext_lazy("Messages an hour"),
        help_text=gettext_lazy(
            "Further messages wait; if more than five wait, they are combined. Leave empty for no limit."
        ),
        min_value=1,
        max_value=MAX_HOURLY_LIMIT,
        required=False,
    )

    class Meta:
        model = Channel
        fields = ["name", "hourly_limit"]
        help_texts = {"name": gettext_lazy("Shown on these pages and in the audit log.")}

    def __init__(self, data: Any = None, *, channel: Channel, transport: Transport, secrets: StoredSecrets) -> None:
        super().__init__(data, instance=channel)
        self.transport, self.secrets = transport, secrets
        self.fields["name"].widget.attrs["autocomplete"] = "off"
        self.is_new = channel.pk is None
        for field in transport.fields:
            if field.is_secret:
                self._add_secret(field)
            else:
                self._add_option(field, field.default if self.is_new else channel.options.get(field.name, ""))
        limit = self.fields.pop("hourly_limit")
        if transport.is_combined:
            self.fields["hourly_limit"] = limit

    def clean(self) -> dict[str, Any]:
        """Require the secrets again if their server changes: it must not get one that the user does not have."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        servers = {SETTING + field.name for field in self.transport.fields if field.is_server}
        if servers.intersection(self.changed_data):
            for name in (field.name for field in self.transport.fields if field.is_secret):
                if self.secrets.has(name) and not cleaned.get(SETTING + name) and SETTING + name not in self.errors:
                    self.add_error(SETTING + name, _("Enter it again, because the server has changed."))
        return cleaned

    @property
    def options(self) -> dict[str, str]:
        """The values of the fields that are not secret."""
        return {
            each.name: self.cleaned_data[SETTING + each.name] for each in self.transport.fields if not each.is_secret
        }

    @property
    def new_secrets(self) -> dict[str, str]:
        """The values of the secret fields: entered, stored, or empty."""
        return {each.name: self._secret(each) for each in self.transport.fields if each.is_secret}

    @property
    def changes(self) -> list[str]:
        """The labels of the fields whose values the user changed."""
        return [str(self[name].label) for name in self.changed_data]

    @property
    def has_new_settings(self) -> bool:
        """Whether the user changed more than the name and the limit."""
        return any(name.startswith((SETTING, REMOVAL)) for name in self.changed_data)

    @property
    def lost_secrets(self) -> list[str]:
        """The labels of the secrets that the user entered, which an invalid form does not show again."""
        entered = self.changed_data
        return [each.label for each in self.transport.fields if each.is_secret and SETTING + each.name in entered]

    @property
    def required_names(self) -> set[str]:
        """The names of the fields that must not be empty once the channel is stored."""
        return {"name", *(SETTING + field.name for field in self.transport.fields if field.is_required)}

    def _secret(self, field: Field) -> str:
        if entered := str(self.cleaned_data[SETTING + field.name]):
            return entered
        is_removed = self.cleaned_data.get(REMOVAL + field.name, False)
        return "" if is_removed else self.secrets.values.get(field.name, "")

    def _add_option(self, field: Field, value: str) -> None:
        self.fields[SETTING + field.name] = _form_field(field, is_required=field.is_required, initial=value)

    def _add_secret(self, field: Field) -> None:
        is_stored = self.secrets.has(field.name)
        added = _form_field(field, is_required=field.is_required and not is_stored, widget=SecretInput())
        self.fields[SETTING + field.name] = added
        if not is_stored:
            return
        end = self.secrets.end_of(field.name)
        keep = (
            _("Leave empty to keep the stored value, which ends in %(end)s.") if end else _("Leave empty to keep it.")
        )
        added.help_text = f"{field.help_text} {keep % {'end': end}}".lstrip()
        if not field.is_required:
            label = _("Remove the stored value: %(label)s") % {"label": field.label}
            self.fields[REMOVAL + field.name] = forms.BooleanField(label=label, required=False)


def _form_field(field: Field, *, is_required: bool, **options: Any) -> forms.Field:
    options |= {"label": field.label, "help_text": field.help_text, "required": is_required}
    if field.choices:
        empty = [] if field.is_required else [("", "–")]
        return forms.ChoiceField(choices=[*empty, *field.choices], **options)
    validators = [_must_match(field)] if field.pattern else []
    return forms.CharField(max_length=MAX_SETTING_LENGTH, validators=validators, **options)


def _must_match(field: Field) -> Callable[[str], None]:
    def validate(value: str) -> None:
        if not re.fullmatch(field.pattern, value):
            # Without the value, which may be a secret.
            raise ValidationError(field.invalid or _("Invalid value."))

    return validate
