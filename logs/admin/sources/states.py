"""The states of sources as pages show them."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from django.utils.formats import date_format
from django.utils.translation import gettext as _

from logs import conf
from logs.circleci.vocabulary import Tone
from logs.models import Source, SourceState
from logs.standings.silence import find_too_quiet, judged_from
from logs.standings.sources import heeded_sources

# The states in the order in which they are shown, with the tone of each.
TONES = {
    SourceState.SILENT: Tone.BAD,
    SourceState.LATE: Tone.WAITING,
    SourceState.NEW: Tone.UNKNOWN,
    SourceState.UP: Tone.GOOD,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownState:
    """A source's state as pages show it."""

    word: str
    tone: Tone
    note: str  # What the word alone does not say; mostly empty.
    is_heeded: bool  # Whether its silence matters: its webhook is configured, and neither of them is muted.


def shown_states(sources: Collection[Source], now: datetime) -> dict[int, ShownState]:
    """Return the states of sources by primary key, in two queries."""
    projects = [source for source in sources if source.project_slug]  # The silence of a webhook itself is not judged.
    too_quiet = find_too_quiet(projects, now)
    heeded = set(heeded_sources(now).filter(pk__in=[source.pk for source in sources]).values_list("pk", flat=True))
    return {
        source.pk: _shown(source, now, is_too_quiet=source.pk in too_quiet, is_heeded=source.pk in heeded)
        for source in sources
    }


def _shown(source: Source, now: datetime, *, is_too_quiet: bool, is_heeded: bool) -> ShownState:
    state = SourceState(source.state)
    word, tone = str(state.label), TONES[state]
    # Otherwise, a source that is up would seem to be monitored.
    if state == SourceState.UP and (is_too_quiet or not is_heeded or is_secret_gone(source)):
        word, tone = _("not judged"), Tone.STOPPED
    return ShownState(word=word, tone=tone, note=_note_on(source, now, is_too_quiet=is_too_quiet), is_heeded=is_heeded)


def is_secret_gone(source: Source) -> bool:
    """Return whether the secret of the last signed delivery has been removed from the configuration."""
    return bool(source.secret_fingerprint) and conf.secret_position(source.webhook, source.secret_fingerprint) is None


def _note_on(source: Source, now: datetime, *, is_too_quiet: bool) -> str:
    if not source.project_slug:
        return ""
    since = judged_from(source)
    if since is None:
        return _("no signed event yet")
    if since > now:
        return _("silence is judged from %(date)s") % {"date": date_format(since, "j M")}
    return _("too quiet to judge") if is_too_quiet else ""
