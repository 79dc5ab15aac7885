"""Flaky jobs and workflows: those that both failed and succeeded on a commit in the last two weeks."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from logs.circleci.vocabulary import Tone, tone_of
from logs.models import Flake, WorkflowEvent
from logs.models.events import project_named
from logs.standings.flakes import STORED_FOR

MOST_READ = 1_000  # Flakes, the newest first.
MOST_OF_A_COMMIT = 1_000


@dataclass(frozen=True, kw_only=True)
class FlakyJob:
    """A flaky job, or a flaky workflow if its job is empty."""

    last: Flake  # The flake with the newest run.
    commits: int  # On how many commits it both failed and succeeded.
    failures: int  # How many of its runs on these commits failed.


@dataclass(frozen=True, kw_only=True)
class Flaky:
    """The flaky jobs and workflows of one project or of all projects, those with the most commits first."""

    jobs: list[FlakyJob]
    workflows: list[FlakyJob]
    has_more: bool  # Whether older flakes were left out.


def read_flaky(now: datetime, project: str = "") -> Flaky:
    """Return what was flaky in the last two weeks, in one query.

    Args:
        now: the current time.
        project: the project's name, its slug, or the URL of one of its pages on CircleCI; "" for all projects.
    """
    if not project:
        return flaky_of(read_flakes(now))
    column, value = project_named(project)
    return flaky_of(read_flakes(now, **{"project_slug" if column == "project_slug" else "project": value}))


def read_flakes(now: datetime, **of: str | list[str]) -> list[Flake]:
    """Return the newest flakes that match a filter, at most one more than MOST_READ."""
    flakes = Flake.objects.filter(seen_at__gte=now - STORED_FOR, **of)
    return list(flakes.order_by("-seen_at", "-pk")[: MOST_READ + 1])


def flaky_of(flakes: Sequence[Flake]) -> Flaky:
    """Return the jobs and workflows of flakes that `read_flakes` returned."""
    found = group_flakes(flakes[:MOST_READ])
    return Flaky(
        jobs=[each for each in found if each.last.job],
        workflows=[each for each in found if not each.last.job],
        has_more=len(flakes) > MOST_READ,
    )


def group_flakes(flakes: Iterable[Flake]) -> list[FlakyJob]:
    """Group flakes, of which the newest come first, by job; those with the most commits come first."""
    jobs: dict[tuple[str, str, str], list[Flake]] = {}
    for flake in flakes:
        jobs.setdefault((flake.project_slug, flake.workflow, flake.job), []).append(flake)
    found = [
        FlakyJob(last=some[0], commits=len(some), failures=sum(flake.failures for flake in some))
        for some in jobs.values()
    ]
    return sorted(found, key=lambda each: (-each.commits, -each.failures, -each.last.seen_at.timestamp()))


def existing_runs(jobs: Iterable[FlakyJob]) -> set[int]:
    """Return which of the runs that these jobs refer to retention has not deleted, in one query."""
    links = (pk for each in jobs for pk in (each.last.failed_id, each.last.succeeded_id))
    keys = {pk for pk in links if pk is not None}
    return set(WorkflowEvent.objects.filter(pk__in=keys).order_by().values_list("pk", flat=True))


def flaky_among(events: Sequence[WorkflowEvent], of: WorkflowEvent) -> set[int]:
    """Return the keys of the failed events whose job or workflow also succeeded on an event's commit, in one query."""
    flakes = Flake.objects.filter(project_slug=of.project_slug, revision=of.revision)
    names = set(flakes.values_list("workflow", "job")[:MOST_OF_A_COMMIT])
    return {
        event.pk
        for event in events
        if tone_of(event.status) is Tone.BAD
        and (event.workflow, event.job) in names
        and (event.project_slug, event.revision) == (of.project_slug, of.revision)
    }


def flaky_failures(flakes: Iterable[Flake], since: datetime) -> dict[str, int | None]:
    """Return how many runs of each workflow of a project failed on commits on which it also succeeded.

    Args:
        flakes: all flakes of the project.
        since: runs that failed earlier do not count. None stands for a workflow for which that number is unknown,
            because some of its runs on these commits failed earlier.
    """
    failures: dict[str, int | None] = {}
    for flake in flakes:
        if not flake.job:
            known = failures.get(flake.workflow, 0)
            if known is not None:
                failures[flake.workflow] = known + flake.failures if flake.first_failed_at >= since else None
    return failures
