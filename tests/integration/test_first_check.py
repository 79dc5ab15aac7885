"""The first check of a log judges all its branches, while others write."""

from datetime import UTC, datetime

import pytest
from django.db import connection

from logs.models import Standing, WorkflowEvent
from logs.standings import following
from logs.standings.following import Follower
from logs.watch.leases import Lease

MANY = 10_001  # More than any cursor reads at once.


def write_elsewhere():
    """Commit something on another connection."""
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("UPDATE logs_workflowevent SET author = author WHERE event_id = 'run-0'")
    finally:
        other.close()


@pytest.mark.django_db(transaction=True)
def test_goes_on_while_another_process_writes(monkeypatch):
    now = datetime.now(UTC)
    runs = [
        WorkflowEvent(
            event_id=f"run-{number}",
            event_type="workflow-completed",
            project_slug="github/acme/orchard",
            workflow="build",
            branch=f"branch-{number}",
            status="failed",
            pipeline_number=number,
            received_at=now,
            changed_at=now,
            verified=True,
        )
        for number in range(MANY)
    ]
    WorkflowEvent.objects.bulk_create(runs, batch_size=2_000)
    lease = Lease("follow")
    assert lease.hold()
    judged = following.judge_branch
    few = {f"branch-{number}" for number in range(0, MANY, 500)}
    monkeypatch.setattr(following, "judge_branch", lambda key, **options: key[2] in few and judged(key, **options))
    for _ in Follower(list).check(lease):
        write_elsewhere()
    assert set(Standing.objects.values_list("branch", flat=True)) == few
    assert lease.cursor is not None
