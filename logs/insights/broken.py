"""Workflows that are broken now: the newest pipeline in which they finished on a default branch failed."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from django.db.models import OuterRef, Subquery
from django.utils import timezone
from django.utils.translation import gettext as _

from logs.circleci.repositories import repository_of
from logs.conf import DefaultBranches, default_branches, is_default_branch
from logs.models import ChangeKind, Delivery, Standing, StateChange, WorkflowEvent
from logs.models.deliveries import BRINGING_VERSIONS
from logs.models.standings import RESTING_AFTER
from logs.models.unindexed import unindexed
from logs.standings.jobs import failed_jobs

SHOWN = 10
MAX_COUNTED = 1_000
MAX_CHANGES_READ = 500


@dataclass(frozen=True, kw_only=True)
class Broken:
    """A workflow that is failing on a branch."""

    standing: Standing  # Its `last`, `last_good` and `broken_since` are loaded, and None if retention deleted the run.
    failed_jobs: list[str]  # In the last run; empty if no job events were received.
    compare_url: str  # The code host's page with the commits since the last good one; "" if unknown.


@dataclass(frozen=True, kw_only=True)
class BrokenNow:
    """Workflows failing on default branches, latest failure first; workflows without recent runs are omitted."""

    default_branches: list[str]  # The entries of DEFAULT_BRANCHES, in words.
    resting_days: int
    shown: list[Broken]
    count: int  # At most MAX_COUNTED.


def read_broken(project_slug: str = "") -> BrokenNow:
    """Return the workflows, of one project or of all, that are broken now.

    Makes at most four queries, whatever their number.
    """
    failing = Standing.objects.broken(timezone.now())
    rows = failing.order_by("-last_run_at", "-pk").values_list("pk", "project_slug", "branch")
    # The project is compared here: SQLite might read all its branches by their slug instead.
    found = (pk for pk, slug, branch in rows.iterator() if _is_watched(slug, branch, project_slug))
    keys = list(islice(found, MAX_COUNTED))
    # Left joins, because retention may have deleted any of these runs.
    standings = Standing.objects.select_related("last", "last_good", "broken_since").in_bulk(keys[:SHOWN])
    shown = [standings[key] for key in keys[:SHOWN] if key in standings]
    jobs = failed_jobs([standing.last for standing in shown if standing.last])
    bodies = _bodies([standing.last.pk for standing in shown if standing.last and standing.last_good])
    return BrokenNow(
        default_branches=[_in_words(entry) for entry in default_branches()],
        resting_days=RESTING_AFTER.days,
        shown=[
            Broken(
                standing=standing,
                failed_jobs=sorted(jobs[standing.project_slug, standing.last.workflow_id]) if standing.last else [],
                compare_url=_compare_url(standing, bodies),
            )
            for standing in shown
        ],
        count=len(keys),
    )


def read_broken_branches(project_slug: str, workflow: str) -> list[Standing]:
    """Return a workflow's standings on the default branches on which it is broken now, latest failure first."""
    failing = Standing.objects.broken(timezone.now()).filter(project_slug=project_slug, workflow=workflow)
    # Sorted here: a database might read all broken branches in the order of an index instead.
    found = [standing for standing in failing if standing.is_on_default_branch]
    return sorted(found, key=lambda standing: (standing.last_run_at, standing.pk), reverse=True)


def read_last_fixed_at(project_slug: str = "") -> datetime | None:
    """Return when a workflow was last fixed on a default branch; None if none of the newest changes says so."""
    columns = ("kind", "project_slug", "branch", "happened_at")
    changes = StateChange.objects.order_by("-happened_at", "-pk").values_list(*columns)[:MAX_CHANGES_READ]
    fixed = (
        at for kind, slug, branch, at in changes if kind == ChangeKind.FIXED and _is_watched(slug, branch, project_slug)
    )
    return next(fixed, None)


def _is_watched(slug: str, branch: str, project_slug: str) -> bool:
    """Return whether a branch is a default branch of the project, or of any project if `project_slug` is empty."""
    return project_slug in ("", slug) and is_default_branch(slug, branch)


def _in_words(entry: DefaultBranches) -> str:
    if not entry.projects:
        return entry.branches
    return _("%(branches)s in %(projects)s") % {"branches": entry.branches, "projects": entry.projects}


def _bodies(events: Collection[int]) -> dict[int, bytes]:
    """Return the body of each event's shown version, unless retention has deleted it."""
    # Avoids the index on `outcome`, in which SQLite would read every event in the log.
    deliveries = Delivery.objects.alias(outcome_without_index=unindexed("outcome"))
    versions = deliveries.filter(event=OuterRef("pk"), outcome_without_index__in=BRINGING_VERSIONS)
    # The newest version only: a client of an unsigned webhook could send any number of large ones.
    newest = Subquery(versions.order_by("-judged_at", "-pk").values("pk")[:1])
    shown = Delivery.objects.filter(pk__in=WorkflowEvent.objects.filter(pk__in=events).order_by().values_list(newest))
    return {event: bytes(body) for event, body in shown.order_by().values_list("event_id", "body")}


def _compare_url(standing: Standing, bodies: Mapping[int, bytes]) -> str:
    # Any client can send an unsigned payload, and name any page in it.
    if not (standing.last and standing.last.verified and standing.last_good and standing.last.pk in bodies):
        return ""
    repository = repository_of(bodies[standing.last.pk])
    good, bad = standing.last_good.revision, standing.last.revision
    return repository.compare_url(good=good, bad=bad) if repository else ""
