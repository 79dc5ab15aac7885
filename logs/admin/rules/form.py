"""The form for a rule. Settings that do not matter for the selected subject are ignored and get their defaults."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import MaxLengthValidator
from django.forms.models import model_to_dict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from logs.admin.channels.list import title_of
from logs.admin.rules.subjects import ALWAYS, SETTINGS, subjects_with
from logs.circleci.vocabulary import JOB_STATUSES, WORKFLOW_STATUSES
from logs.models import AlarmKind, Channel, Rule, Subject
from logs.notifications.channels import TRANSPORTS

MAX_PATTERNS_LENGTH = 4_000
MAX_REMIND_HOURS = 720
PATTERNS = ("projects", "workflows", "branches", "tags", "authors")
STATUSES = tuple(dict.fromkeys((*WORKFLOW_STATUSES, *JOB_STATUSES)))
SUBJECT_LABELS = {
    Subject.CHANGES: gettext_lazy("Changes: a workflow broke or was fixed"),
    Subject.RUNS: gettext_lazy("Each run: a workflow ended"),
    Subject.JOBS: gettext_lazy("Each job: a job ended"),
    Subject.LOG: gettext_lazy("The log itself: alarms about silence, refusals and other problems"),
}


class ChannelsField(forms.ModelMultipleChoiceField):  # type: ignore[type-arg]  # It takes no type at run time.
    """Channels with their kinds."""

    def clean(self, value: Any) -> Any:
        """Check the values. SQLite fails with a key that is too large.

        Raises:
            ValidationError: a value is not a channel.
        """
        try:
            return super().clean(value)
        except OverflowError:
            message = self.error_messages["invalid_choice"]
            raise ValidationError(message, code="invalid_choice", params={"value": ", ".join(value)}) from None

    def label_from_instance(self, obj: Channel) -> str:
        """Return a channel's name and kind, and whether it is disabled."""
        label = f"{obj.name} · {title_of(obj)}"
        return label if obj.enabled else _("%(channel)s (disabled)") % {"channel": label}


class RuleForm(forms.ModelForm):  # type: ignore[type-arg]  # It takes no type at run time.
    """The settings of a rule."""

    subject = forms.ChoiceField(
        label=gettext_lazy("Report"), choices=SUBJECT_LABELS, widget=forms.RadioSelect, initial=Subject.CHANGES
    )
    statuses = forms.MultipleChoiceField(
        choices=[(status, status) for status in STATUSES],
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=gettext_lazy("Without a selection: any status."),
    )
    alarms = forms.MultipleChoiceField(
        label=gettext_lazy("Alarms"), choices=AlarmKind, required=False, widget=forms.CheckboxSelectMultiple
    )
    remind_every_hours = forms.IntegerField(
        label=gettext_lazy("Reminder every … hours"),
        min_value=1,
        max_value=MAX_REMIND_HOURS,
        required=False,
        help_text=gettext_lazy("While a workflow stays broken. Empty: never."),
    )
    channels = ChannelsField(
        queryset=Channel.objects.order_by("name"), required=False, widget=forms.CheckboxSelectMultiple
    )

    class Meta:
        model = Rule
        fields = [
            *ALWAYS,
            *("on_broke", "on_fixed", "alarms", *PATTERNS, "statuses"),
            *("after_failures", "remind_every_hours", "allow_unverified", "channels"),
        ]
        widgets = {name: forms.Textarea(attrs={"rows": 2, "spellcheck": "false"}) for name in PATTERNS}
        labels = {
            "on_broke": gettext_lazy("Workflows that break"),
            "on_fixed": gettext_lazy("Workflows that are fixed"),
            "after_failures": gettext_lazy("After … failed runs"),
            "allow_unverified": gettext_lazy("Also report unsigned events"),
        }
        help_texts = {
            "name": gettext_lazy("Shown on these pages and in the audit log."),
            "projects": gettext_lazy("Slugs or names, such as github/acme/*"),
            "workflows": gettext_lazy("Names, such as build"),
            "branches": gettext_lazy("Such as release/*; <default> for the default branches"),
            "tags": gettext_lazy("Such as v*"),
            "authors": gettext_lazy("Names, such as !renovate*"),
            "after_failures": gettext_lazy("How many runs in a row must fail, 1 to 20."),
            "allow_unverified": gettext_lazy("Any client can send events without a signature."),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.is_new = self.instance.pk is None
        self.fields["name"].widget.attrs["autocomplete"] = "off"
        for name in PATTERNS:
            self.fields[name].validators += [MaxLengthValidator(MAX_PATTERNS_LENGTH), check_patterns]

    @property
    def rows(self) -> list[tuple[forms.BoundField, str]]:
        """The fields, each with the CSS classes of the subjects for which it matters."""
        return [(self[name], " ".join(f"of-{subject}" for subject in subjects_with(name))) for name in self.fields]

    @property
    def changes(self) -> list[str]:
        """The labels of the fields that matter and whose values the user changed."""
        known = (*ALWAYS, *SETTINGS[self.cleaned_data["subject"]])
        return [str(self[name].label) for name in self.changed_data if name in known]

    def clean(self) -> dict[str, Any]:
        """Check what each subject needs, and ignore what does not matter for it."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        subject = cleaned.get("subject", "")
        if subject in SETTINGS:
            self._ignore_others(subject)
            self._require(subject)
        return cleaned

    def _ignore_others(self, subject: str) -> None:
        defaults = model_to_dict(Rule())
        for name in self.fields.keys() - {*ALWAYS, *SETTINGS[subject]}:
            self.errors.pop(name, None)
            self.cleaned_data[name] = defaults[name]

    def _require(self, subject: str) -> None:
        given = self.cleaned_data
        if subject == Subject.CHANGES and not (given["on_broke"] or given["on_fixed"]):
            self.add_error("on_broke", _("Select at least one: workflows that break, or workflows that are fixed."))
        if subject == Subject.LOG and not given.get("alarms", True):
            self.add_error("alarms", _("Select at least one alarm."))
        channels = given.get("channels")
        if channels is not None and not channels:
            self.add_error("channels", _("Select at least one channel."))
        if subject in (Subject.RUNS, Subject.JOBS):
            self._reject_incidents(channels or ())

    def _reject_incidents(self, channels: Any) -> None:
        for channel in channels:
            transport = TRANSPORTS.get(channel.kind)
            if transport and transport.opens_incidents:
                message = _(
                    "%(channel)s cannot get runs or jobs: nothing would resolve the incident or ticket that each one "
                    "opens."
                )
                self.add_error("channels", message % {"channel": channel})


def check_patterns(patterns: str) -> None:
    """Reject an exclamation mark that excludes nothing, or that follows a space.

    Raises:
        ValidationError: a line has such a mark.
    """
    for line in map(str.strip, patterns.splitlines()):
        pattern = line.removeprefix("!").strip()
        if line and (not pattern or pattern.startswith("!") or " !" in pattern):
            message = _(
                "Invalid pattern “%(line)s”: enter one pattern per line; start a line with ! to exclude its matches."
            )
            raise ValidationError(message, params={"line": line})
