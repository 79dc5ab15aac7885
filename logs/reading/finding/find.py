"""Find what a text names: what arrived, what was refused, and when its source was last heard from."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from logs.models import Claim, Source, WorkflowEvent
from logs.reading.finding.arrived import Arrived, sum_up
from logs.reading.finding.events import Found, known_projects, look_up
from logs.reading.finding.refused import MAX_REFUSED, refused_claims
from logs.reading.finding.wanted import Kind, Search, Wanted, interpret


@dataclass(frozen=True, kw_only=True)
class Heard:
    """When the log last heard from a project, or from any if the project is unknown."""

    source: Source | None  # None if the watch has not recorded any.
    at: datetime | None  # None if nothing has arrived yet.
    is_project: bool


@dataclass(frozen=True, kw_only=True)
class Findings:
    """All that is known about a text."""

    search: Search
    arrived: list[Arrived]
    refused: list[Claim]  # The newest, with their deliveries; empty if the user may not view deliveries.
    has_more_refused: bool
    heard: Heard | None  # None if it arrived or was refused.
    around: list[Arrived]  # What arrived of the pipeline or workflow that contains it, if it did not arrive itself.
    unsearched: list[Found]  # The lists that search on for it, beyond the rows that were read.

    @property
    def is_ambiguous(self) -> bool:
        """Whether the text is a number, which may be a pipeline's or a job's."""
        return {Kind.PIPELINE, Kind.JOB} <= {each.kind for each in self.search.readings}

    @property
    def is_known_project(self) -> bool:
        """Whether the text names a project that has delivered, although the log has no event of it left."""
        kinds = {each.kind for each in self.search.readings}
        return self.heard is not None and self.heard.is_project and Kind.PROJECT in kinds

    @property
    def wanted(self) -> Wanted:
        """The most likely reading of the text."""
        return self.search.readings[0]


def find(text: str, *, with_refused: bool) -> Findings:
    """Return what the log knows about a text, such as a number, a URL, a commit, a project, a person or words.

    The number of queries depends only on the kind of text.

    Args:
        text: the text that a user has typed or pasted.
        with_refused: whether the user may view deliveries.

    Raises:
        InvalidQuery: the text is too long, or contains a character that no text in the log can have.
    """
    search = interpret(text)
    projects = known_projects(search)
    found = _first_found(search.readings, projects)
    arrived = sum_up(found)
    around = [] if arrived else sum_up(_first_found(search.context, projects))
    # What arrived by its number was not refused by its name.
    kinds = {each.wanted.kind for each in found if arrived} or set(Kind)
    refused = refused_claims(search, kinds) if with_refused else []
    return Findings(
        search=search,
        arrived=arrived,
        refused=refused[:MAX_REFUSED],
        has_more_refused=len(refused) > MAX_REFUSED,
        heard=None if arrived or refused else _heard(projects),
        around=around,
        unsearched=[] if arrived else [each for each in found if not each.is_whole],
    )


def _first_found(readings: Iterable[Wanted], projects: Sequence[str]) -> list[Found]:
    """Look up readings until one is found; a number may name both a pipeline and a job."""
    found: list[Found] = []
    for wanted in readings:
        if any(each.events for each in found) and wanted.kind is not Kind.JOB:
            break
        found += look_up(wanted, projects)
    return found


def _heard(projects: Sequence[str]) -> Heard:
    heard = Source.objects.exclude(last_delivery_at=None).select_related("last_event").order_by("-last_delivery_at")
    own = heard.filter(project_slug__in=projects).first() if projects else None
    source = own or heard.first()
    if source:
        return Heard(source=source, at=source.last_delivery_at, is_project=own is not None)
    at = WorkflowEvent.objects.newest_first().values_list("received_at", flat=True).first()
    return Heard(source=None, at=at, is_project=False)
