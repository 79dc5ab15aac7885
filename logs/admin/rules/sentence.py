"""What a rule reports, in a sentence."""

from collections.abc import Iterator, Sequence

from django.utils.translation import gettext as _

from logs.admin.rules.subjects import SETTINGS
from logs.models import AlarmKind, Rule, Subject
from logs.models.rules import DEFAULT_BRANCH

MAX_LENGTH = 300


def sentence_of(rule: Rule) -> str:
    """Return a sentence about what a rule reports; it contains patterns that a user has entered."""
    text = " ".join([_subject_of(rule), *_conditions_of(rule)])
    return text if len(text) <= MAX_LENGTH else f"{text[:MAX_LENGTH]}…"


def lines_of(patterns: str) -> list[str]:
    """Return the patterns, which are stored one per line."""
    return [line.strip() for line in patterns.splitlines() if line.strip()]


def _subject_of(rule: Rule) -> str:
    if rule.subject == Subject.LOG:
        return _alarms_of(rule)
    if rule.subject == Subject.CHANGES:
        return _changes_of(rule)
    of_status = _(" with the status %(statuses)s") % {"statuses": _any_of(rule.statuses)} if rule.statuses else ""
    return (_("Each run") if rule.subject == Subject.RUNS else _("Each job")) + of_status


def _changes_of(rule: Rule) -> str:
    if rule.on_broke and rule.on_fixed:
        return _("Workflows that break or are fixed")
    return _("Workflows that break") if rule.on_broke else _("Workflows that are fixed")


def _alarms_of(rule: Rule) -> str:
    kinds = [str(kind.label) for kind in AlarmKind if kind in rule.alarms]
    if len(kinds) == len(AlarmKind):
        return _("All alarms")
    return _("Alarms: %(kinds)s") % {"kinds": ", ".join(kinds)}


def _conditions_of(rule: Rule) -> Iterator[str]:
    templates = {
        "projects": _("in %(patterns)s"),
        "workflows": _("of workflow %(patterns)s"),
        "branches": _("on %(patterns)s"),
        "tags": _("with tag %(patterns)s"),
        "authors": _("by %(patterns)s"),
    }
    for name, template in templates.items():
        if name in SETTINGS[rule.subject]:
            yield from _matching(template, getattr(rule, name))
    if rule.subject == Subject.CHANGES:
        yield from _times_of(rule)
    if rule.allow_unverified and rule.subject != Subject.LOG:
        yield _("(also unsigned)")


def _times_of(rule: Rule) -> Iterator[str]:
    if rule.after_failures > 1:
        yield _("after %(count)s failures") % {"count": rule.after_failures}
    if rule.remind_every_hours:
        yield _("with a reminder every %(hours)s h") % {"hours": rule.remind_every_hours}


def _matching(template: str, patterns: str) -> Iterator[str]:
    lines = lines_of(patterns)
    included = [_shown(line) for line in lines if not line.startswith("!")]
    excluded = [_shown(line[1:].strip()) for line in lines if line.startswith("!")]
    if not lines:
        return
    names = _any_of(included) if included else _("any")
    if excluded:
        names = _("%(names)s except %(excluded)s") % {"names": names, "excluded": _any_of(excluded)}
    yield template % {"patterns": names}


def _shown(pattern: str) -> str:
    return _("the default branch") if pattern == DEFAULT_BRANCH else pattern


def _any_of(words: Sequence[str]) -> str:
    """Return words as "a, b or c"."""
    *first, last = map(str, words)
    return _("%(first)s or %(last)s") % {"first": ", ".join(first), "last": last} if first else last
