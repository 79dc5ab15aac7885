"""Projects with counted runs, and how to find one by its name, slug or id."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.core.cache import cache
from django.db.models import QuerySet

from logs.insights.counting import MAX_AGE
from logs.models import HourlyWorkflow, Source, Workflow, WorkflowEvent
from logs.models.events import project_named

# Limits the work for a page. In a log with more workflows, the other projects are found by an exact name, slug or id.
MAX_WORKFLOWS_READ = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A project, identified by its slug."""

    slug: str
    name: str
    label: str  # The name, or the slug if the name is empty or not unique.

    @property
    def workflows(self) -> QuerySet[Workflow]:
        """Its workflows."""
        return Workflow.objects.filter(project_slug=self.slug)

    @property
    def sums(self) -> QuerySet[HourlyWorkflow]:
        """The hourly sums of its runs."""
        return HourlyWorkflow.objects.filter(workflow__in=self.workflows)


def read_projects() -> list[Project]:
    """Return the projects with counted runs, once for each of their names, in the order of their slugs.

    They are cached for a minute.
    """
    projects: Any = cache.get_or_set("dashboard-projects", _read_projects, MAX_AGE.total_seconds())
    return projects  # type: ignore[no-any-return]  # The cache is untyped.


def find_projects(text: str, projects: Iterable[Project]) -> list[Project]:
    """Return the projects with a name, slug or id, in any case; several projects can share a name."""
    column, value = project_named(text)
    texts, folded = {text, value}, {text.casefold(), value.casefold()}
    found = [each for each in projects if {each.slug.casefold(), each.name.casefold()} & folded]
    # A slug first: another project can have it as its name.
    by_slug = [each for each in found if each.slug in texts] or [
        each for each in found if each.slug.casefold() in folded
    ]
    by_name = [each for each in found if each.name in texts]
    return list({each.slug: each for each in by_slug or by_name or found}.values()) or _of_newest_event(column, value)


def unclear_names(rows: Iterable[Workflow | Source]) -> set[str]:
    """Return the names in place of which a page shows slugs: the empty name, and names that several projects have."""
    count = Counter(name for name, _ in {(each.project, each.project_slug) for each in rows})
    return {"", *(name for name, number in count.items() if number > 1)}


def _read_projects() -> list[Project]:
    rows = Workflow.objects.exclude(project_slug="").order_by("project_slug", "name")
    # A renamed project has its old name too, if a workflow has not run since.
    pairs = dict.fromkeys(rows.values_list("project_slug", "project")[:MAX_WORKFLOWS_READ])
    count = Counter(name.casefold() for _, name in pairs)
    return [
        Project(slug=slug, name=name, label=name if name and count[name.casefold()] == 1 else slug)
        for slug, name in pairs
    ]


def _of_newest_event(column: str, value: str) -> list[Project]:
    """Return the project of the newest event with a value in one of the columns that identify a project."""
    events = WorkflowEvent.objects.filter(**{column: value}).newest_first()
    rows = events.values_list("project_slug", "project")[:1]
    return [Project(slug=slug, name=name, label=slug) for slug, name in rows if slug]
