"""A pipeline's events as workflows with their jobs."""

from datetime import UTC, datetime, timedelta

from logs.admin.events.run import group_by_workflow
from logs.models import WorkflowEvent

START = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)


def event(number, workflow_id, *, workflow="build", job=""):
    return WorkflowEvent(
        pk=number,
        event_type="job-completed" if job else "workflow-completed",
        workflow_id=workflow_id,
        workflow=workflow,
        job=job,
        received_at=START + timedelta(seconds=number),
    )


def test_jobs_stand_below_their_workflow_in_the_order_of_arrival():
    lint, test, end = event(1, "w", job="lint"), event(2, "w", job="test"), event(3, "w")
    (run,) = group_by_workflow([end, test, lint])
    assert (run.ends, run.jobs, run.name, run.is_rerun) == ([end], [lint, test], "build", False)


def test_a_workflow_of_the_same_name_again_is_a_rerun():
    events = [event(1, "first"), event(2, "other", workflow="deploy"), event(3, "again", job="test"), event(4, "again")]
    assert [(run.name, run.is_rerun) for run in group_by_workflow(events)] == [
        ("build", False),
        ("deploy", False),
        ("build", True),
    ]


def test_a_workflow_that_has_not_ended_is_known_by_its_jobs():
    (run,) = group_by_workflow([event(1, "w", job="lint")])
    assert (run.ends, run.name) == ([], "build")


def test_jobs_without_a_workflow_are_no_reruns_of_each_other():
    runs = group_by_workflow([event(1, "", workflow="", job="a"), event(2, "x", workflow="", job="b")])
    assert [(run.name, run.is_rerun) for run in runs] == [("", False), ("", False)]
