"""The reason that an operator gives for what they are about to do."""

from django import forms
from django.utils.translation import gettext_lazy as _

MAX_REASON_LENGTH = 500


class ReasonForm(forms.Form):
    """Asks why."""

    reason = forms.CharField(
        label=_("Reason"),
        help_text=_("Others read it in the admin's log, with your name."),
        max_length=MAX_REASON_LENGTH,
        widget=forms.Textarea(attrs={"rows": 3, "cols": 60}),
    )
