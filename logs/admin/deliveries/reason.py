"""The form that asks an operator for a reason."""

from django import forms
from django.utils.translation import gettext_lazy as _

MAX_REASON_LENGTH = 500


class ReasonForm(forms.Form):
    """The reason for a replay or a deletion."""

    reason = forms.CharField(
        label=_("Reason"),
        help_text=_("Recorded in the audit log with your name."),
        max_length=MAX_REASON_LENGTH,
        widget=forms.Textarea(attrs={"rows": 3, "cols": 60}),
    )
