"""Look up the events that a text names. Each look-up is served by an index, or reads a bounded number of rows."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Q
from django.http import QueryDict

from logs.models import Source, WorkflowEvent
from logs.models.events import UUID, spellings_of_id
from logs.reading.choices import values_matching
from logs.reading.filters import EventFilterSet
from logs.reading.finding.wanted import Kind, Search, Wanted, interpret
from logs.reading.pages import BY_ARRIVAL, EVENT_ORDERS, MAX_SCANNED, Listing
from logs.reading.patterns import ANY
from logs.reading.query import read_filters, read_list
from logs.reading.search import words_of

MAX_EVENTS = 200  # That are read of a pipeline or a commit; the newest.
MAX_EVENTS_OF_PROJECT = 50  # The answer shows its last run, and its standings.
MAX_PROJECTS = 5
MIN_NAME_BYTES = 3
MAX_NAMES = 20  # That are compared with a pattern.
ID_COLUMNS = ("workflow_id", "pipeline_id", "project_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The newest events of one reading of a text."""

    wanted: Wanted
    filters: dict[str, str]  # Of the list with all of them; empty if no list shows them.
    events: list[WorkflowEvent]
    is_whole: bool = True  # Whether all events were searched; otherwise, the list searches on.


def event_of_id(text: str) -> WorkflowEvent | None:
    """Return the event with this CircleCI ID; None if the log has no such event."""
    return WorkflowEvent.objects.filter(event_id__in=spellings_of_id(text)).first()


def list_filters(text: str) -> dict[str, str]:
    """Return the filters of the list of events that show what a text names, or else the text's words."""
    search = interpret(text)
    projects = known_projects(search)
    for wanted in (*search.readings, *search.context):
        for found in look_up(wanted, projects):
            if found.filters and found.events:
                return found.filters
    first, *others = search.readings
    if first.kind is Kind.ID and not others:
        return {"workflow_id": first.value}
    return dict(first.filters) if first.kind is Kind.PIPELINE and not others else {"q": text}


def known_projects(search: Search) -> list[str]:
    """Return the slugs of the projects that a search names, in any case, or else the names as they are.

    A project without a signed delivery has no source, and is found only by its exact name or slug.
    """
    exact = [Q(project_slug__iexact=name) | Q(project__iexact=name) for name in search.projects]
    start = [Q(project__istartswith=name) for name in search.projects if search.is_start]
    sources = Source.objects.exclude(project_slug="").order_by("project_slug")
    for condition in (*exact, *start):
        slugs = sources.filter(condition).values_list("project_slug", flat=True).distinct()
        if found := list(slugs[:MAX_PROJECTS]):
            return found
    return list(search.projects)


def look_up(wanted: Wanted, projects: Sequence[str]) -> list[Found]:
    """Return what the log has of a reading; `projects` are the result of `known_projects`."""
    if wanted.kind is Kind.ID:
        return _of_id(wanted)
    if wanted.kind is Kind.JOB:
        return [_of_job(wanted, projects)]
    return [_listed(wanted, filters) for filters in _filters(wanted, projects)]


def _filters(wanted: Wanted, projects: Sequence[str]) -> list[dict[str, str]]:
    """Return the filters of each list that shows a reading."""
    if ANY in wanted.value and wanted.kind in (Kind.PERSON, Kind.PROJECT, Kind.BRANCH):
        return []  # In a filter, it would stand for any text.
    match wanted.kind:
        case Kind.PERSON:
            return [{"author": author} for author in _authors(wanted.value)]
        case Kind.PROJECT:
            return [{"project": project} for project in projects]
        case Kind.WORDS if not words_of(wanted.value):
            return []
        case Kind.PIPELINE | Kind.BRANCH if projects:
            return [{**wanted.filters, "project": projects[0]}]
    return [dict(wanted.filters)]


def _listed(wanted: Wanted, filters: dict[str, str]) -> Found:
    query = QueryDict(mutable=True)
    query.update(filters)
    reading = read_list(read_filters(EventFilterSet, query, WorkflowEvent.objects.all()), EVENT_ORDERS)
    page = reading.page(MAX_EVENTS_OF_PROJECT if wanted.kind is Kind.PROJECT else MAX_EVENTS)
    return Found(wanted=wanted, filters=filters, events=page.rows, is_whole=bool(page.rows) or page.end is None)


def _of_id(wanted: Wanted) -> list[Found]:
    if event := event_of_id(wanted.value):
        return [Found(wanted=wanted, filters={}, events=[event])]
    for column in ID_COLUMNS if UUID.fullmatch(wanted.value) else ():
        found = _listed(wanted, {"project" if column == "project_id" else column: wanted.value})
        if found.events:
            return [found]
    return []


def _of_job(wanted: Wanted, projects: Sequence[str]) -> Found:
    """Return the events of a job's number: of a pipeline if it is known, or else among the newest MAX_SCANNED events.

    No index has the job's number.
    """
    events = WorkflowEvent.objects.filter(project_slug=projects[0]) if projects else WorkflowEvent.objects.all()
    if "pipeline" in wanted.filters:
        of_pipeline = events.filter(pipeline_number=wanted.filters["pipeline"])[:MAX_SCANNED]
        found = [event for event in of_pipeline if event.job_number == wanted.job_number]
        return Found(wanted=wanted, filters={}, events=found)
    of_number = events.filter(job_number=wanted.job_number)
    page = Listing(rows=of_number, order=BY_ARRIVAL, descending=True, scan=events).page(MAX_EVENTS)
    return Found(wanted=wanted, filters={}, events=page.rows, is_whole=bool(page.rows) or page.end is None)


def _authors(text: str) -> list[str]:
    """Return the author whose name is a text, in any case, or else the first one whose name starts with it."""
    if len(text.encode()) < MIN_NAME_BYTES:
        return []
    for pattern in (text, f"{text}*"):
        if names := values_matching(WorkflowEvent, "author", pattern, most=MAX_NAMES).values:
            return names[:1]
    return []
