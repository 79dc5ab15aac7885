"""A realistic mix of events: mostly successful, from several projects, branches and authors."""

from datetime import datetime, timedelta
from random import Random
from typing import Any

from logs.circleci.samples.documents import job_completed, workflow_completed
from logs.circleci.samples.run import REFERENCE_TIME, WEBHOOK_NAME, Host, RunOptions

JOB_SHARE = 0.6
TAG_SHARE = 0.05
API_SHARE = 0.05
SPREAD_DAYS = 30

# The share of each status, in percent.
# fmt: off
WORKFLOW_STATUS_WEIGHTS = {"success": 81, "failed": 10, "error": 2, "canceled": 6, "unauthorized": 1}
JOB_STATUS_WEIGHTS      = {"success": 83, "failed": 10,             "canceled": 6, "unauthorized": 1}

# Each project has one host, so its slug is the same in all its events.
PROJECT_HOSTS = {
    "orchard":      Host.GITHUB_OAUTH,
    "harbour-web":  Host.GITHUB_APP,
    "tide-tables":  Host.GITLAB,
    "lighthouse":   Host.BITBUCKET_CLOUD,
    "boat-builder": Host.BITBUCKET_DC,
}
WORKFLOW_JOBS = {
    "build-and-test": ("lint", "unit-tests", "build-image"),
    "nightly":        ("end-to-end", "dependency-audit"),
    "deploy":         ("migrate", "deploy-staging", "deploy-production"),
}
BRANCH_WEIGHTS = {
    "main":                    60,
    "release/2026.8":          10,
    "feature/apple-varieties": 12,
    "fix/tide-off-by-one":     10,
    "wilma/größere-boote":      8,
}
# fmt: on
AUTHORS = ("Wilma Quince", "Ottokar Brandt", "Noé Fontaine", "Ama Mensah")
SUBJECTS = ("Prune the apple trees", "Count the boats again", "Show tomorrow's tide", "Paint the lighthouse – again")


def random_event(
    random: Random, *, project: str | None = None, webhook_name: str = WEBHOOK_NAME, now: datetime | None = None
) -> dict[str, Any]:
    """Return a workflow-completed or job-completed payload with realistic values.

    Args:
        random: makes all choices; the same state gives the same payload.
        project: a project's name; None for one of PROJECT_HOSTS.
        webhook_name: the webhook's name in CircleCI.
        now: when the event happens, an aware time; None for a random time in the SPREAD_DAYS before REFERENCE_TIME.
    """
    options = _random_options(random, project or random.choice(list(PROJECT_HOSTS)))
    options["webhook_name"] = webhook_name
    options["happened_at"] = now or REFERENCE_TIME - timedelta(days=random.uniform(0, SPREAD_DAYS))
    if random.random() < JOB_SHARE:
        job = random.choice(WORKFLOW_JOBS[options["workflow"]])
        return job_completed(random=random, status=_weighted(random, JOB_STATUS_WEIGHTS), job=job, **options)
    return workflow_completed(random=random, status=_weighted(random, WORKFLOW_STATUS_WEIGHTS), **options)


def _random_options(random: Random, project: str) -> RunOptions:
    return {
        "project": project,
        "host": PROJECT_HOSTS.get(project) or Random(project).choice(list(Host)),
        "workflow": random.choice(list(WORKFLOW_JOBS)),
        "branch": _weighted(random, BRANCH_WEIGHTS),
        "tag": f"v2026.8.{random.randint(0, 30)}" if random.random() < TAG_SHARE else None,
        "author": random.choice(AUTHORS),
        "commit_subject": random.choice(SUBJECTS),
        "by_api": random.random() < API_SHARE,
    }


def _weighted(random: Random, weights: dict[str, int]) -> str:
    return random.choices(list(weights), list(weights.values()))[0]
