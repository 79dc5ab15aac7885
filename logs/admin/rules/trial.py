"""The result of trying a rule, as the form shows it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from logs.models import NotificationKind, Subject
from logs.notifications.trying import Trial, WouldSend

MAX_SHOWN = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownMessage:
    """A message that would have been sent; its text is untrusted."""

    would_send: WouldSend
    headline: str
    channels: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownTrial:
    """A trial with its summary."""

    summary: str  # "It would have sent 12 messages: 7 broke, 5 fixed".
    runs: int  # How many runs (or jobs) were compared.
    is_about_jobs: bool
    since: datetime
    messages: Sequence[ShownMessage]
    more: int  # How many messages are not shown.


def shown_trial(trial: Trial, subject: str) -> ShownTrial:
    """Return what the form shows of a trial of a rule on a subject."""
    messages = trial.messages[:MAX_SHOWN]
    return ShownTrial(
        summary=_summary(trial),
        runs=trial.runs,
        is_about_jobs=subject == Subject.JOBS,
        since=trial.since,
        messages=[
            ShownMessage(would_send=each, headline=_headline(each), channels=", ".join(each.channels))
            for each in messages
        ],
        more=len(trial.messages) - len(messages),
    )


def _summary(trial: Trial) -> str:
    count = trial.messages_sent
    if not count:
        return _("It would have sent no messages")
    counts = Counter[str]()
    for each in trial.messages:
        counts[each.kind] += len(each.channels)
    kinds = ", ".join(f"{counts[kind]} {_word(kind, counts[kind])}" for kind in NotificationKind if counts[kind])
    sent = ngettext("It would have sent %(count)s message", "It would have sent %(count)s messages", count)
    return f"{sent % {'count': count}}: {kinds}"


def _word(kind: str, count: int) -> str:
    # fmt: off
    words: Mapping[str, str] = {
        NotificationKind.BROKE:    _("broke"),
        NotificationKind.FIXED:    _("fixed"),
        NotificationKind.REMINDER: ngettext("reminder", "reminders", count),
        NotificationKind.RUN:      ngettext("run", "runs", count),
        NotificationKind.JOB:      ngettext("job", "jobs", count),
    }
    # fmt: on
    return words.get(kind, kind)


def _headline(message: WouldSend) -> str:
    templates: Mapping[str, Any] = {
        NotificationKind.BROKE: _("%(project)s · %(workflow)s broke"),
        NotificationKind.FIXED: _("%(project)s · %(workflow)s is fixed"),
        NotificationKind.REMINDER: _("%(project)s · %(workflow)s is still broken"),
        NotificationKind.JOB: _("%(project)s · job of %(workflow)s"),
    }
    template = templates.get(message.kind, _("%(project)s · run of %(workflow)s"))
    headline = str(template % {"project": message.project, "workflow": message.workflow})
    on_branch = _("%(headline)s on %(branch)s") % {"headline": headline, "branch": message.branch}
    return on_branch if message.branch else headline
