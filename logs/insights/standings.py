"""The state of workflows on default branches, updated with a few index look-ups per branch."""

from typing import Any

from django.conf import settings
from django.db.models import Case, Count, Exists, Min, OuterRef, Q, Value, When

from logs.circleci.vocabulary import BAD_STATUSES, GOOD_STATUSES, EventType, Tone
from logs.models import Standing, WorkflowEvent
from logs.models.events import WorkflowEventQuerySet

KEY = ("project_slug", "workflow", "branch")

TONE = Case(When(status__in=GOOD_STATUSES, then=Value(Tone.GOOD)), When(status__in=BAD_STATUSES, then=Value(Tone.BAD)))


def update_standings(changed: WorkflowEventQuerySet) -> None:
    """Update the standings of branches with changed runs; must be called in a transaction."""
    for row in _on_default_branches(changed).annotate(first=Min("received_at"), good=_count_good()):
        key = {name: row[name] for name in KEY}
        known = Standing.objects.filter(**key).select_related("broken_since").first()
        _update(known or Standing(**key), keeps_failing=bool(known and _keeps_failing(known, row)))


def add_standings(events: WorkflowEventQuerySet) -> None:
    """Add standings for branches that have runs but no standing yet; must be called in a transaction."""
    known = Standing.objects.filter(**{name: OuterRef(name) for name in KEY})
    for key in _on_default_branches(events).filter(~Exists(known)).distinct():
        _update(Standing(**key), keeps_failing=False)


def _on_default_branches(events: WorkflowEventQuerySet) -> Any:
    runs = events.filter(event_type=EventType.WORKFLOW_COMPLETED, branch__in=settings.DEFAULT_BRANCHES)
    return runs.order_by().values(*KEY)


def _count_good() -> Count:
    return Count("pk", filter=Q(status__in=GOOD_STATUSES))


def _keeps_failing(known: Standing, row: dict[str, Any]) -> bool:
    """Return whether all changed runs arrived after the first failed run and none of them succeeded.

    If so, the branch has been broken since that run. Searching for the last successful run would read all failed
    runs after it, and their number grows for as long as the branch stays broken.
    """
    first = known.broken_since  # Also None if retention deleted that run.
    return first is not None and first.received_at < row["first"] and not row["good"]


def _update(standing: Standing, *, keeps_failing: bool) -> None:
    branch = {name: getattr(standing, name) for name in KEY}
    runs = WorkflowEvent.objects.filter(event_type=EventType.WORKFLOW_COMPLETED, **branch)
    last = _of_tone(runs, Tone.GOOD, Tone.BAD).newest_first().first()
    if last is None:
        if standing.pk:
            standing.delete()
        return
    standing.last, standing.project = last, last.project
    if last.status in GOOD_STATUSES:
        standing.broken_since = None
    elif not keeps_failing:
        standing.broken_since = _first_failed(runs)
    standing.save()


def _of_tone(runs: WorkflowEventQuerySet, *tones: Tone) -> WorkflowEventQuerySet:
    # Not a condition on the status itself: SQLite would prefer the status index, which covers all projects.
    return runs.alias(tone=TONE).filter(tone__in=tones)


def _first_failed(runs: WorkflowEventQuerySet) -> WorkflowEvent | None:
    """Return the first failed run after the last successful one, or the first failed run if no run succeeded."""
    failed = _of_tone(runs, Tone.BAD).order_by("received_at", "pk")
    good = _of_tone(runs, Tone.GOOD).newest_first().first()
    if good:
        # Not one condition with OR: no database can start an index scan from it.
        failed = failed.filter(received_at__gte=good.received_at).exclude(received_at=good.received_at, pk__lt=good.pk)
    return failed.first()
