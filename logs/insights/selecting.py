"""Which runs a request for figures asks for: a window, and a project, workflow or branch."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db.models import QuerySet
from django.http import QueryDict

from logs.circleci.vocabulary import EventType
from logs.exceptions import InvalidQuery
from logs.insights.projects import find_projects, read_projects
from logs.insights.series import STEPS
from logs.insights.windows import DEFAULT, LENGTHS, Window, window_between, window_named
from logs.models import HourlyWorkflow, Workflow, WorkflowEvent
from logs.models.events import WorkflowEventQuerySet
from logs.reading.fields import ChoiceFilter, TextFilter, TimeFilter, TruthFilter
from logs.reading.filters import PagedFilterSet
from logs.reading.query import read_filters

MOST_NAMED = 10  # Projects in an error message.
# Earlier and later ones have no hour before or after them, or would be months of nothing.
FIRST_TIME, LAST_TIME = datetime(1970, 2, 1, tzinfo=UTC), datetime(9998, 1, 1, tzinfo=UTC)
WINDOWS = ", ".join(LENGTHS)


class ProjectFilterSet(PagedFilterSet):
    """Selects a project."""

    project = TextFilter(help_text="The project's name, id or slug (github/acme/press), in any case.")

    class Meta:
        model = HourlyWorkflow
        fields: list[str] = []


class WindowFilterSet(ProjectFilterSet):
    """Selects a window, a project and a workflow."""

    # fmt: off
    workflow        = TextFilter(help_text="The workflow's name.")
    window          = ChoiceFilter(values=list(LENGTHS), noun="a window",
                                   help_text=f"The time up to now: {WINDOWS}. Without any time, {DEFAULT}.")
    received_after  = TimeFilter(help_text="Runs that arrived at this time or later, to the hour.")
    received_before = TimeFilter(help_text="Runs that arrived before this time, to the hour.")
    # fmt: on


class JobFilterSet(WindowFilterSet):
    """Also selects a branch."""

    branch = TextFilter(help_text="The branch.")


class WorkflowFilterSet(JobFilterSet):
    """Also selects default branches."""

    default_branch = TruthFilter(help_text="true: only runs on their project's default branches.")


class DefaultBranchFilterSet(WindowFilterSet):
    """Also selects default branches."""

    default_branch = TruthFilter(help_text="true: only runs on their project's default branches.")


class SeriesFilterSet(DefaultBranchFilterSet):
    """Also selects the steps of a series."""

    step = ChoiceFilter(values=list(STEPS), noun="a step", help_text="One point per hour or per day; day by default.")


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The runs that a request asks for."""

    window: Window
    project_slugs: list[str] | None  # None: of all projects. Projects can share a name; an unknown one has no slug.
    workflow: str  # "": all workflows.
    branch: str  # "": all branches.
    on_default_branch: bool
    step: str

    @property
    def workflows(self) -> QuerySet[Workflow]:
        """The selected workflows."""
        found = Workflow.objects.all()
        if self.project_slugs is not None:
            found = found.filter(project_slug__in=self.project_slugs)
        return found.filter(name=self.workflow) if self.workflow else found

    @property
    def sums(self) -> QuerySet[HourlyWorkflow]:
        """The hourly sums of their runs, of all branches or of the default ones."""
        found = HourlyWorkflow.objects.filter(self.window.of_sums)
        if self.project_slugs is not None or self.workflow:
            found = found.filter(workflow__in=self.workflows)
        return found.filter(on_default_branch=True) if self.on_default_branch else found

    @property
    def columns(self) -> dict[str, Any]:
        """A filter for the events of the selected project, workflow and branch."""
        columns: dict[str, Any] = {} if self.project_slugs is None else {"project_slug__in": self.project_slugs}
        if self.workflow:
            # Every branch is at least "". Without this, SQLite would read all events of the project.
            columns |= {"workflow": self.workflow, "branch__gte": ""}
        return columns | ({"branch": self.branch} if self.branch else {})

    @property
    def runs(self) -> WorkflowEventQuerySet:
        """The selected runs of workflows."""
        return WorkflowEvent.objects.filter(
            self.window.of_events, event_type=EventType.WORKFLOW_COMPLETED, **self.columns
        )

    def newest_hour_without_branches(self) -> datetime | None:
        """Return the newest hour of the window that an older release counted, without default branches."""
        old = HourlyWorkflow.objects.filter(self.window.of_sums, on_default_branch=None)
        return old.order_by("-hour").values_list("hour", flat=True).first()

    def find_workflow(self) -> Workflow | None:
        """Return the selected workflow; None if the log has not counted any of its runs.

        Raises:
            InvalidQuery: the project or the workflow is missing, or several projects share the name.
        """
        if self.project_slugs is None or not self.workflow:
            raise InvalidQuery("project and workflow are required.")
        found = list(self.workflows.order_by("project_slug")[: MOST_NAMED + 1])
        if len(found) > 1:
            slugs = ", ".join(each.project_slug for each in found[:MOST_NAMED])
            raise InvalidQuery(f"project: several projects have this name; use a slug: {slugs}.")
        return found[0] if found else None


def read_selection(filterset_class: type[PagedFilterSet], query: QueryDict, now: datetime) -> Selection:
    """Return what a query asks for.

    Raises:
        InvalidQuery: a value is invalid, or the times contradict each other.
    """
    given = read_filters(filterset_class, query, HourlyWorkflow.objects.none()).form.cleaned_data
    if given.get("branch") and given.get("default_branch") is not None:
        raise InvalidQuery("default_branch: leave it out, or leave out branch.")
    project = given.get("project")
    return Selection(
        window=_window(given, now),
        project_slugs=[each.slug for each in find_projects(project, read_projects())] if project else None,
        workflow=given.get("workflow") or "",
        branch=given.get("branch") or "",
        on_default_branch=bool(given.get("default_branch")),
        step=given.get("step") or "day",
    )


def _window(given: dict[str, Any], now: datetime) -> Window:
    name, since, until = (given.get(each) for each in ("window", "received_after", "received_before"))
    if not since and not until:
        return window_named(name or DEFAULT, now)
    if name:
        raise InvalidQuery("window: leave it out, or leave out received_after and received_before.")
    until = min(max(until or now, FIRST_TIME), LAST_TIME)
    return window_between(max(since, FIRST_TIME) if since else until - LENGTHS[DEFAULT], until)
