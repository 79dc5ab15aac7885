"""The rules that pages offer: the values with which the form for a new rule begins."""

from collections.abc import Sequence
from typing import Any

from django.http import QueryDict
from django.utils.translation import gettext as _

from logs.models import AlarmKind, Channel, Rule, Subject
from logs.models.rules import DEFAULT_BRANCH

DEFAULT, LOG, CHANNEL = "default", "log", "channel"  # Parameters of the form's URL.


def initial_of(query: QueryDict) -> dict[str, Any]:
    """Return the values with which the form for a new rule begins."""
    if query.get(DEFAULT):
        return {"name": _unused(_("Default branches")), "branches": DEFAULT_BRANCH, "channels": _channels(query)}
    if query.get(LOG):
        name = _unused(_("Alarms"))
        return {"name": name, "subject": Subject.LOG, "alarms": AlarmKind.values, "channels": _channels(query)}
    return {}


def _channels(query: QueryDict) -> Sequence[int]:
    key = query.get(CHANNEL, "")
    enabled = Channel.objects.filter(enabled=True).values_list("pk", flat=True)
    return [int(key)] if key.isascii() and key.isdecimal() and len(key) < 19 else list(enabled)


def _unused(name: str) -> str:
    """Return a name with a number, if a rule has the name."""
    taken = set(Rule.objects.filter(name__startswith=name).values_list("name", flat=True))
    names = (name if number == 1 else f"{name} {number}" for number in range(1, len(taken) + 2))
    return next(each for each in names if each not in taken)
