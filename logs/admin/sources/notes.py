"""A note beside a source's state, where the state alone says too little."""

from collections.abc import Collection
from datetime import datetime

from django.utils.formats import date_format
from django.utils.translation import gettext as _

from logs.models import Source
from logs.standings.silence import find_too_quiet, judged_from


def notes_on(sources: Collection[Source], now: datetime) -> dict[int, str]:
    """Return the notes on sources by primary key, in one query; a source without a note is absent."""
    projects = [source for source in sources if source.project_slug]  # The silence of a webhook itself is not judged.
    too_quiet = find_too_quiet(projects, now)
    notes = {source.pk: _note_on(source, now, is_too_quiet=source.pk in too_quiet) for source in projects}
    return {key: note for key, note in notes.items() if note}


def _note_on(source: Source, now: datetime, *, is_too_quiet: bool) -> str:
    since = judged_from(source)
    if since is None:
        return _("no signed event yet")
    if since > now:
        return _("silence is judged from %(date)s") % {"date": date_format(since, "j M")}
    return _("too quiet to judge") if is_too_quiet else ""
