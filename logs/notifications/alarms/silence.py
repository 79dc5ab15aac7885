"""Silent sources: each by itself, or all of a webhook as one."""

from collections.abc import Container, Iterable, Sequence
from datetime import datetime, timedelta
from itertools import groupby

from logs import conf
from logs.models import Alarm, AlarmKind, Source, SourceState
from logs.notifications.alarms.listing import ShownAlarm
from logs.notifications.alarms.problems import Problems, name_of_project, some_names

# After a whole webhook was silent, its other projects get this much time before they are reported one by one.
RECOVERY = timedelta(hours=1)


def find_silence(opened: Container[str], now: datetime) -> Problems:
    """Return the silent sources of the configured webhooks.

    A mute prevents new alarms but closes none: only a delivery ends a silence.
    """
    names = [webhook.name for webhook in conf.webhooks()]
    sources = Source.objects.filter(webhook__in=names).order_by("webhook", "project_slug")
    problems: Problems = {}
    for webhook, group in groupby(sources, key=lambda source: source.webhook):
        problems |= _of_webhook(webhook, list(group), opened, now)
    return _without_recovering(problems, opened, now)


def without_alarm(silent: Iterable[Source], alarms: Iterable[ShownAlarm]) -> list[Source]:
    """Return the silent sources that none of these open alarms reports."""
    reported = {alarm.key for alarm in alarms if alarm.kind == AlarmKind.SILENCE}
    return [each for each in silent if reported.isdisjoint([_key(each), _key_of_webhook(each.webhook)])]


def _of_webhook(webhook: str, sources: Sequence[Source], opened: Container[str], now: datetime) -> Problems:
    """Return the problems of one webhook; its own row, without a project, is read only for its mute."""
    is_muted = any(source.is_muted(now) for source in sources if not source.project_slug)
    judged = [source for source in sources if source.project_slug and source.state != SourceState.NEW]
    silent = [source for source in judged if source.state == SourceState.SILENT]
    reported = [source for source in silent if not (is_muted or source.is_muted(now))]
    is_new = len(reported) > 1 and not any(_key(source) in opened for source in silent)
    if silent and len(silent) == len(judged) and (_key_of_webhook(webhook) in opened or is_new):
        return {_key_of_webhook(webhook): _detail_of_webhook(webhook, silent)}
    return {_key(source): _detail(source) for source in silent if source in reported or _key(source) in opened}


def _without_recovering(problems: Problems, opened: Container[str], now: datetime) -> Problems:
    """Leave out new problems of webhooks that were silent as a whole until recently."""
    keys = {key: _key_of_webhook(detail["webhook"]) for key, detail in problems.items() if key not in opened}
    if not keys:
        return problems
    closed = Alarm.objects.filter(kind=AlarmKind.SILENCE, key__in=set(keys.values()), closed_at__gt=now - RECOVERY)
    # A webhook whose alarm is still open, and is closed by this check, recovers too.
    recovering = set(closed.values_list("key", flat=True)) | {key for key in keys.values() if key in opened}
    return {key: detail for key, detail in problems.items() if keys.get(key) not in recovering}


def _key(source: Source) -> str:
    return f"source:{source.pk}"


def _key_of_webhook(webhook: str) -> str:
    return f"webhook:{webhook}"[: Alarm._meta.get_field("key").max_length]


def _detail(source: Source) -> dict[str, object]:
    return {
        "webhook": source.webhook,
        "project_slug": source.project_slug,
        "project": name_of_project(source.project_slug, source.project),
        "sources": _names([source]),
        "last_delivery_at": _newest([source]),
    }


def _detail_of_webhook(webhook: str, silent: Sequence[Source]) -> dict[str, object]:
    return {
        "webhook": webhook,
        "projects": some_names([name_of_project(source.project_slug, source.project) for source in silent]),
        "sources": _names(silent),
        "count": len(silent),
        "last_delivery_at": _newest(silent),
    }


def _names(sources: Sequence[Source]) -> list[list[str]]:
    """Return each project's slug and name, by which rules select it."""
    return [[source.project_slug, source.project] for source in sources]


def _newest(sources: Sequence[Source]) -> str | None:
    times = [source.last_delivery_at for source in sources if source.last_delivery_at]
    return max(times).isoformat() if times else None
