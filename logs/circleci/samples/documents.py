"""Complete payloads for each event type.

Source: https://circleci.com/docs/reference/outbound-webhooks-reference/ (read 2026-08-20).
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any, Unpack
from uuid import UUID

from logs.circleci.samples.run import (
    ORGANIZATION,
    REFERENCE_TIME,
    WEBHOOK_NAME,
    Run,
    RunOptions,
    lasting_id,
    project_slug,
    random_id,
)
from logs.circleci.samples.sources import iso, random_push, source_of, trigger_type
from logs.circleci.vocabulary import EventType


def workflow_event_id(workflow_id: str) -> str:
    """Return the ``id`` of a workflow's workflow-completed event; all deliveries of the event share it."""
    return _name_based_id(f"{workflow_id}_WorkflowCompleted")


def job_event_id(job_id: str) -> str:
    """Return the ``id`` of a job's job-completed event; all deliveries of the event share it."""
    return _name_based_id(f"{job_id}_JobCompleted")


def ping(*, random: Random, webhook_name: str = WEBHOOK_NAME, happened_at: datetime | None = None) -> dict[str, Any]:
    """Return the payload that CircleCI's "Test Ping Event" button sends.

    Args:
        random: generates the id.
        webhook_name: the webhook's name in CircleCI.
        happened_at: an aware time; None means REFERENCE_TIME.
    """
    return {
        "type": str(EventType.PING),
        "id": random_id(random),
        "happened_at": iso(happened_at or REFERENCE_TIME),
        "webhook": _webhook(webhook_name),
    }


def workflow_completed(*, random: Random, status: str = "success", **options: Unpack[RunOptions]) -> dict[str, Any]:
    """Return a workflow-completed payload.

    Args:
        random: generates the ids, the commit and the times.
        status: the workflow's status, as free text.
        **options: the fields of a Run.
    """
    run = Run(**options)
    times = _random_times(random, run)
    workflow = _workflow(random, run, times) | {"status": status}
    return {
        "type": str(EventType.WORKFLOW_COMPLETED),
        "id": workflow_event_id(workflow["id"]),
        **_surroundings(random, run, times, workflow),
    }


def job_completed(
    *,
    random: Random,
    status: str = "success",
    job: str = "test",
    job_id: str | None = None,
    **options: Unpack[RunOptions],
) -> dict[str, Any]:
    """Return a job-completed payload.

    Args:
        random: generates the ids, the commit and the times.
        status: the job's status, as free text.
        job: the job's name.
        job_id: the job's id; None for a new job.
        **options: the fields of a Run.
    """
    run = Run(**options)
    times = _random_times(random, run)
    block = _job(random, job_id or random_id(random), times) | {"name": job, "status": status}
    return {
        "type": str(EventType.JOB_COMPLETED),
        "id": job_event_id(block["id"]),
        **_surroundings(random, run, times, _workflow(random, run, times)),
        "job": block,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Times:
    pipeline_created_at: datetime
    started_at: datetime
    stopped_at: datetime


def _random_times(random: Random, run: Run) -> _Times:
    """Return the times of a run that stops less than a second before its event happens."""
    seconds = random.uniform(20, 900) if run.duration_seconds is None else run.duration_seconds
    stopped_at = run.time - timedelta(milliseconds=random.randint(20, 400))
    started_at = stopped_at - timedelta(seconds=seconds)
    return _Times(
        pipeline_created_at=started_at - timedelta(milliseconds=random.randint(80, 900)),
        started_at=started_at,
        stopped_at=stopped_at,
    )


def _workflow(random: Random, run: Run, times: _Times) -> dict[str, Any]:
    """Return the workflow as it appears in job events, without its status."""
    return {
        "id": run.workflow_id or random_id(random),
        "name": run.workflow,
        "created_at": iso(times.started_at),
        "stopped_at": iso(times.stopped_at),
    }


def _job(random: Random, job_id: str, times: _Times) -> dict[str, Any]:
    return {
        "id": job_id,
        "number": random.randint(1, 9_999),
        "started_at": iso(times.started_at),
        "stopped_at": iso(times.stopped_at),
    }


def _surroundings(random: Random, run: Run, times: _Times, workflow: dict[str, Any]) -> dict[str, Any]:
    """Return the blocks that both event types share: webhook, workflow, pipeline, project, organization."""
    slug, number = project_slug(run), run.pipeline_number
    page = f"https://app.circleci.com/pipelines/{slug}/{number}/workflows/{workflow['id']}"
    return {
        "happened_at": iso(run.time),
        "webhook": _webhook(run.webhook_name),
        "workflow": workflow | {"url": page},
        "pipeline": {
            "id": random_id(random),
            "number": number,
            "created_at": iso(times.pipeline_created_at),
            "trigger": {"type": trigger_type(run)},
            **source_of(random_push(random, run, times.pipeline_created_at)),
        },
        "project": {"id": lasting_id("project", run.project), "name": run.project, "slug": slug},
        "organization": {"id": lasting_id("organization", ORGANIZATION), "name": ORGANIZATION},
    }


def _webhook(name: str) -> dict[str, Any]:
    return {"id": lasting_id("webhook", name), "name": name}


def _name_based_id(name: str) -> str:
    """Return a name's version 3 UUID, without the namespace that ``uuid.uuid3`` requires."""
    digest = hashlib.md5(name.encode(), usedforsecurity=False).digest()
    return str(UUID(bytes=digest, version=3))
