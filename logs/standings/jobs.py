"""The failed jobs of a workflow's run."""

from collections import defaultdict
from collections.abc import Iterable

from logs.circleci.vocabulary import EventType, Tone, tone_of
from logs.models import WorkflowEvent

MOST_READ = 5_000  # A client of an unsigned webhook could send any number of jobs.


def failed_jobs(runs: Iterable[WorkflowEvent]) -> defaultdict[tuple[str, str], set[str]]:
    """Return the names of the failed jobs by project slug and workflow id, among MOST_READ jobs, in one query.

    The slug matters: another project's sender could claim the workflow's id.
    """
    found = defaultdict(set)
    # The status is compared here: SQLite might use its index, which covers all projects.
    jobs = WorkflowEvent.objects.filter(workflow_id__in={run.workflow_id for run in runs} - {""})
    columns = jobs.order_by().values_list("project_slug", "workflow_id", "event_type", "status", "job")
    for slug, workflow_id, event_type, status, job in columns[:MOST_READ]:
        if event_type == EventType.JOB_COMPLETED and tone_of(status) is Tone.BAD:
            found[slug, workflow_id].add(job)
    return found
