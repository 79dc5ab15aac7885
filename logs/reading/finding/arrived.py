"""Sum up the events that were found: for each project, the run to open first, its failed jobs, and broken branches."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from logs.circleci.vocabulary import EventType, Tone, tone_of
from logs.conf import is_default_branch
from logs.models import Standing, WorkflowEvent
from logs.reading.finding.events import MAX_PROJECTS, Found
from logs.reading.finding.wanted import Kind, Wanted

MAX_BROKEN = 5
MAX_STANDINGS = 100  # That are read to find those on default branches.
MAX_JOBS = 500  # That are read to find the failed ones.


@dataclass(frozen=True, kw_only=True)
class BrokenBranch:
    """A workflow that is broken on a branch of the project."""

    standing: Standing  # Its `last` and `broken_since` are loaded, and None if retention deleted the run.
    failed_jobs: list[WorkflowEvent]  # Of its last run.


@dataclass(kw_only=True)
class Arrived:
    """The events of one project that match."""

    wanted: Wanted
    filters: dict[str, str]  # Of the list with all of them; empty if no list shows them.
    run: WorkflowEvent  # The one to open first.
    failed_jobs: list[WorkflowEvent] = field(default_factory=list)  # Of the run, each name once.
    broken: list[BrokenBranch] = field(default_factory=list)  # Of a project, those on default branches first.


def sum_up(found: Iterable[Found]) -> list[Arrived]:
    """Return what was found by project, at most MAX_PROJECTS, with three queries in total."""
    shown = [arrived for each in found for arrived in _by_project(each)][:MAX_PROJECTS]
    projects = {each.run.project_slug: each for each in shown if each.wanted.kind is Kind.PROJECT}
    broken = _broken_standings(projects.keys() - {""})
    jobs = _failed_jobs([*(each.run for each in shown), *(standing.last for standing in broken if standing.last)])
    for each in shown:
        each.failed_jobs = jobs[_key(each.run)]
    for standing in broken:
        failed = jobs[_key(standing.last)] if standing.last else []
        projects[standing.project_slug].broken.append(BrokenBranch(standing=standing, failed_jobs=failed))
    return shown


def _by_project(found: Found) -> list[Arrived]:
    if found.wanted.kind in (Kind.PERSON, Kind.WORDS):  # In many projects: the newest is shown.
        return [Arrived(wanted=found.wanted, filters=found.filters, run=event) for event in found.events[:1]]
    groups: dict[tuple[str, str], list[WorkflowEvent]] = {}
    for event in found.events:
        groups.setdefault((event.project_slug, event.project), []).append(event)
    return [
        Arrived(
            wanted=found.wanted,
            filters={**found.filters, "project": slug} if found.filters and slug else found.filters,
            run=_run_of(group),
        )
        for (slug, _), group in groups.items()
    ]


def _run_of(events: Sequence[WorkflowEvent]) -> WorkflowEvent:
    """Return the newest that failed among the last runs of each workflow; if none failed, the newest.

    Without events of workflows, jobs decide.
    """
    runs = [event for event in events if event.event_type == EventType.WORKFLOW_COMPLETED] or events
    last: dict[tuple[str, str, str], WorkflowEvent] = {}
    for event in runs:
        last.setdefault((event.workflow, event.job, event.branch), event)
    return next((event for event in last.values() if tone_of(event.status) is Tone.BAD), runs[0])


def _broken_standings(slugs: Iterable[str]) -> list[Standing]:
    """Return at most MAX_BROKEN broken standings of each project, those on default branches first, in two queries."""
    if not slugs:
        return []
    broken = Standing.objects.filter(project_slug__in=slugs, tone=Tone.BAD).order_by("-last_run_at", "-pk")
    newest = broken.values_list("project_slug", "branch", "pk")[:MAX_STANDINGS]
    keys: defaultdict[str, list[int]] = defaultdict(list)
    for slug, _, key in sorted(newest, key=lambda each: not is_default_branch(each[0], each[1])):
        keys[slug].append(key)
    shown = [key for some in keys.values() for key in some[:MAX_BROKEN]]
    standings = Standing.objects.select_related("last", "broken_since").in_bulk(shown)
    return [standings[key] for key in shown if key in standings]


def _failed_jobs(runs: Iterable[WorkflowEvent]) -> defaultdict[tuple[str, str], list[WorkflowEvent]]:
    """Return the failed jobs of some runs, each name once, in one query."""
    ids = {run.workflow_id for run in runs} - {""}
    found: defaultdict[tuple[str, str], list[WorkflowEvent]] = defaultdict(list)
    # The status is compared here: SQLite might use its index, which covers all projects.
    for event in WorkflowEvent.objects.filter(workflow_id__in=ids).order_by()[:MAX_JOBS] if ids else []:
        is_failed = event.event_type == EventType.JOB_COMPLETED and tone_of(event.status) is Tone.BAD
        if is_failed and event.job not in {each.job for each in found[_key(event)]}:
            found[_key(event)].append(event)
    return found


def _key(run: WorkflowEvent) -> tuple[str, str]:
    # The slug matters: another project's sender could claim the workflow's id.
    return run.project_slug, run.workflow_id
