"""The timeline: which moments it knows, from where, and how far they are apart."""

from datetime import UTC, datetime, timedelta

from logs.admin.events.timeline import timeline_of
from logs.models import WorkflowEvent

STOPPED = datetime(2026, 5, 4, 10, 10, tzinfo=UTC)
RECEIVED = STOPPED + timedelta(seconds=3)
PAYLOAD = {
    "pipeline": {"created_at": "2026-05-04T10:00:00Z"},
    "workflow": {"created_at": "2026-05-04T10:00:05Z"},
    "job": {"started_at": "2026-05-04T10:07:00Z"},
}


def steps(payload, event_type="workflow-completed", **columns):
    columns = {"stopped_at": STOPPED, "happened_at": STOPPED + timedelta(seconds=1)} | columns
    event = WorkflowEvent(event_type=event_type, **columns)
    return [
        (step.label, f"{step.at:%H:%M:%S}", step.since_last)
        for step in timeline_of(event, payload, received_at=RECEIVED)
    ]


def test_tells_a_workflow_from_its_pipeline_to_its_arrival():
    assert steps(PAYLOAD) == [
        ("Pipeline created", "10:00:00", ""),
        ("Workflow created", "10:00:05", "+5 s"),
        ("Stopped", "10:10:00", "+9 min 55 s"),
        ("Happened", "10:10:01", "+1 s"),
        ("Received", "10:10:03", "+2 s"),
    ]


def test_tells_of_a_job_when_it_started():
    assert steps(PAYLOAD, "job-completed")[1] == ("Job started", "10:07:00", "+7 min")


def test_without_the_payload_the_start_follows_from_the_duration():
    assert steps(None, duration_seconds=65.0)[:2] == [
        ("Workflow created", "10:08:55", ""),
        ("Stopped", "10:10:00", "+1 min 5 s"),
    ]


def test_leaves_out_what_nobody_knows():
    odd = {"pipeline": {"created_at": "yesterday"}, "workflow": ["created_at"]}
    assert steps(odd, stopped_at=None, happened_at=None) == [("Received", "10:10:03", "")]


def test_clocks_that_differ_go_backwards():
    late = steps({}, happened_at=RECEIVED + timedelta(seconds=90))
    assert late[-1] == ("Received", "10:10:03", "−1 min 30 s")
