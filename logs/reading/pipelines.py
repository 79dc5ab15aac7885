"""Read pipelines: the pages of a list that has each pipeline once, and the events of pipelines."""

from collections import defaultdict
from collections.abc import Iterable

from django.db.models import Case, Exists, Max, OuterRef, Q, Value, When, Window
from django.db.models.functions import RowNumber

from logs.circleci.payload import MAX_INTEGER
from logs.circleci.vocabulary import BAD_STATUSES, EventType
from logs.models import Origin, WorkflowEvent
from logs.models.events import spellings_of_id
from logs.models.unindexed import unindexed
from logs.reading.cursors import Reading
from logs.reading.pages import BY_ARRIVAL, Page

MAX_READ = 500  # How many matching events a page reads to find its pipelines.
MAX_EVENTS = 100  # How many events of a pipeline are read.

Key = tuple[str, str, int]


def key_of(event: WorkflowEvent) -> Key:
    """Return the key of an event's pipeline; an event without a pipeline ID is alone."""
    # Without the slug, another project's sender could claim the pipeline's ID and appear in it.
    return event.project_slug, event.pipeline_id, 0 if event.pipeline_id else event.pk


def read_page(reading: Reading, size: int) -> tuple[Page, list[WorkflowEvent]]:
    """Return a page of events, and the newest of each pipeline that belongs to the page.

    A pipeline belongs to the page that has the newest of its events, so no pipeline is on two pages.

    Args:
        reading: events, newest first; only those that match its filters count.
        size: the maximum number of pipelines.
    """
    page = _with_few_pipelines(reading.page(MAX_READ), size, backwards=reading.backwards)
    newest: dict[Key, WorkflowEvent] = {}
    for event in page.rows:
        newest.setdefault(key_of(event), event)
    listed = _listed_before(reading, newest.keys(), page.rows[0]) if reading.cursor and page.rows else set()
    return page, [event for key, event in newest.items() if key not in listed]


def read_events(pipelines: Iterable[WorkflowEvent]) -> dict[Key, list[WorkflowEvent]]:
    """Return the events of pipelines in one query: of each pipeline up to MAX_EVENTS, and one more if there are more.

    Proven events come first, and of these workflows, because they decide; then failed jobs, then the others, the
    newest first.

    Args:
        pipelines: one event of each pipeline.
    """
    keys = {key_of(event) for event in pipelines}
    if not keys:
        return {}
    # Any client can send any number of unsigned events.
    proven_first = Case(When(Q(verified=True) | Q(origin=Origin.API), then=Value(0)), default=Value(1))
    precedence = Case(
        When(event_type=EventType.WORKFLOW_COMPLETED, then=Value(0)),
        When(status__in=BAD_STATUSES, then=Value(1)),
        default=Value(2),
    )
    place = Window(
        RowNumber(),
        partition_by=["project_slug", "pipeline_id"],
        order_by=[proven_first, precedence, "-received_at", "-pk"],
    )
    rows = WorkflowEvent.objects.filter(_of_pipelines(keys)).alias(slug=unindexed("project_slug"))
    rows = rows.filter(slug__in={slug for slug, _, _ in keys})
    found = defaultdict(list)
    for event in rows.alias(place=place).filter(place__lte=MAX_EVENTS + 1).order_by("place"):
        found[key_of(event)].append(event)
    return dict(found)


def read_pipeline(pipeline_id: str) -> list[WorkflowEvent]:
    """Return up to MAX_EVENTS + 1 events of a pipeline, proven ones first; none if the log does not have it."""
    events = WorkflowEvent.objects.filter(pipeline_id__in=spellings_of_id(pipeline_id))
    # Another project's sender can claim the id.
    proven = events.filter(Q(verified=True) | Q(origin=Origin.API))
    about = next((each for rows in (proven, events) for each in rows.newest_first()[:1]), None)
    return read_events([about])[key_of(about)] if about else []


def read_neighbours(event: WorkflowEvent) -> list[tuple[int, int]]:
    """Return the project's previous and next pipeline: the number and the key of an event, if the log has it."""
    if event.pipeline_number is None:
        return []
    numbers = {event.pipeline_number - 1, min(event.pipeline_number + 1, MAX_INTEGER)} - {event.pipeline_number}
    rows = WorkflowEvent.objects.filter(pipeline_number__in=numbers, project_slug=event.project_slug)
    return sorted(rows.order_by().values_list("pipeline_number").annotate(Max("pk")))


def _of_pipelines(keys: Iterable[Key]) -> Q:
    alone = {pk for _, _, pk in keys if pk}
    of_pipelines = Q(pipeline_id__in={pipeline_id for _, pipeline_id, _ in keys if pipeline_id})
    return of_pipelines | Q(pk__in=alone) if alone else of_pipelines


def _with_few_pipelines(page: Page, size: int, *, backwards: bool) -> Page:
    """Return the part of a page, in the direction of reading, that has at most `size` pipelines."""
    rows = page.rows[::-1] if backwards else page.rows
    keys: set[Key] = set()
    for number, event in enumerate(rows):
        keys.add(key_of(event))
        if len(keys) > size:
            kept = rows[:number]
            return Page(rows=kept[::-1] if backwards else kept, end=BY_ARRIVAL.position_of(kept[-1]))
    return page


def _listed_before(reading: Reading, keys: Iterable[Key], first: WorkflowEvent) -> set[Key]:
    """Return the pipelines with a matching event that is newer than the first event of a page."""
    newer = WorkflowEvent.objects.filter(
        pipeline_id__in={pipeline_id for _, pipeline_id, _ in keys if pipeline_id},
        received_at__gte=first.received_at,
    ).exclude(received_at=first.received_at, pk__lte=first.pk)
    # The filters apply to single rows. Otherwise, SQLite would use a filter's index, which can hold most of the log.
    matching = newer.filter(Exists(reading.filterset.qs.filter(pk=OuterRef("pk"))))
    found = matching.order_by().values_list("project_slug", "pipeline_id").annotate(Max("pk"))
    return {(slug, pipeline_id, 0) for slug, pipeline_id, _ in found}
