"""The deliveries that docs/api.md shows."""

from datetime import UTC, datetime
from random import Random

from logs.circleci import samples

SECRET = "ABCD1234"


def arrivals():
    """Return what arrives, and when: a job and a workflow of one pipeline have failed, others have not."""
    made = Random(2026)
    boats = samples.workflow_completed(
        random=made,
        status="error",
        project="boat-builder",
        author="Ottokar Brandt",
        commit_subject="Count the boats again",
        happened_at=datetime(2026, 8, 14, 7, 15, tzinfo=UTC),
        duration_seconds=340,
    )
    deploy = samples.workflow_completed(
        random=made,
        project="harbour-web",
        workflow="deploy",
        tag="v2026.8.1",
        author="Ama Mensah",
        commit_subject="Show tomorrow's tide",
        happened_at=datetime(2026, 8, 18, 16, 40, tzinfo=UTC),
        duration_seconds=95.5,
    )
    nightly = samples.workflow_completed(
        random=made,
        project="harbour-web",
        workflow="nightly",
        author="Ama Mensah",
        commit_subject="Show tomorrow's tide",
        happened_at=datetime(2026, 8, 20, 3, 15, tzinfo=UTC),
        duration_seconds=1260,
    )
    workflow = samples.workflow_completed(random=made, status="failed", duration_seconds=412.25)
    job = samples.job_completed(
        random=made,
        status="failed",
        job="unit-tests",
        happened_at=datetime(2026, 8, 20, 9, 28, 10, tzinfo=UTC),
        duration_seconds=184.5,
    )
    job["pipeline"] = workflow["pipeline"]
    job["workflow"] = {name: value for name, value in workflow["workflow"].items() if name != "status"}
    return {
        datetime(2026, 8, 14, 7, 15, 2, tzinfo=UTC): boats,
        datetime(2026, 8, 18, 16, 40, 1, tzinfo=UTC): deploy,
        datetime(2026, 8, 20, 3, 15, 2, tzinfo=UTC): nightly,
        datetime(2026, 8, 20, 9, 28, 11, tzinfo=UTC): job,
        datetime(2026, 8, 20, 9, 30, 2, tzinfo=UTC): workflow,
        datetime(2026, 8, 20, 9, 30, 14, tzinfo=UTC): workflow,
    }
