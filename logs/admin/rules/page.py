"""The context of a rule's page, limited to what the user may view."""

from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext_lazy

from logs.admin.rules.list import sends_nothing
from logs.admin.rules.sentence import lines_of, sentence_of
from logs.admin.rules.subjects import SETTINGS
from logs.models import Rule, Subject
from logs.permissions import CHANGE_RULES, DELETE_RULES, VIEW_CHANNELS

PATTERNS = {
    "projects": gettext_lazy("Projects"),
    "workflows": gettext_lazy("Workflows"),
    "branches": gettext_lazy("Branches"),
    "tags": gettext_lazy("Tags"),
    "authors": gettext_lazy("Authors"),
}


def rule_context(request: HttpRequest, rule: Rule) -> dict[str, Any]:
    """Return the context of a rule's page; the number of queries is fixed."""
    may = request.user.has_perm
    channels = list(rule.channels.order_by("name"))
    return {
        "rule": rule,
        "sentence": sentence_of(rule),
        "patterns": [
            (label, lines)
            for name, label in PATTERNS.items()
            if name in SETTINGS[rule.subject] and (lines := lines_of(getattr(rule, name)))
        ],
        "is_about_changes": rule.subject == Subject.CHANGES,
        "channels": channels,
        "sends_nothing": sends_nothing(rule, channels),
        "may_view_channels": may(VIEW_CHANNELS),
        "may_change": may(CHANGE_RULES),
        "may_delete": may(DELETE_RULES),
    }
