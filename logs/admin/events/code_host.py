"""Links from an event to its repository, its commit and its changes at the code host."""

from dataclasses import dataclass

from logs.circleci.repositories import repository_of
from logs.circleci.vocabulary import EventType, Tone, tone_of
from logs.models import Delivery, WorkflowEvent

RECENT_RUNS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeHostLinks:
    """An event's pages at the code host; "" for a page that is unknown."""

    host: str
    repository_url: str
    commit_url: str
    compare_url: str
    compared_with: str  # The hash of the earlier commit.
    is_since_success: bool  # Whether the workflow succeeded on that commit, and failed since.


def code_host_links(event: WorkflowEvent, shown: Delivery | None) -> CodeHostLinks | None:
    """Return the links that the shown version's payload leads to; None if the repository is unknown."""
    # Any client can send an unsigned payload, and name any page in it.
    repository = repository_of(bytes(shown.body)) if shown and event.verified else None
    if repository is None:
        return None
    before, status = run_before(event)
    return CodeHostLinks(
        host=repository.host,
        repository_url=repository.url,
        commit_url=repository.commit_url(event.revision),
        compare_url=repository.compare_url(good=before, bad=event.revision),
        compared_with=before,
        is_since_success=tone_of(event.status) is Tone.BAD and tone_of(status) is Tone.GOOD,
    )


def run_before(event: WorkflowEvent) -> tuple[str, str]:
    """Return the commit and the status of an earlier run of the event's workflow on its branch; "" if unknown.

    For a failed event, this is the last run that succeeded, if it is recent: what broke the workflow came after it.
    Otherwise, it is the run of the previous pipeline.
    """
    if not event.branch or event.pipeline_number is None:
        return "", ""
    runs = WorkflowEvent.objects.filter(
        event_type=EventType.WORKFLOW_COMPLETED,
        project_slug=event.project_slug,
        workflow=event.workflow,
        branch=event.branch,
        received_at__lt=event.received_at,
    )
    # A rerun arrives after runs of newer pipelines, and several pipelines can build the same commit.
    recent = runs.newest_first().values_list("pipeline_number", "revision", "status")[:RECENT_RUNS]
    earlier = [
        (number, revision, status)
        for number, revision, status in recent
        if number is not None and number < event.pipeline_number and revision not in ("", event.revision)
    ]
    is_failed = tone_of(event.status) is Tone.BAD
    succeeded = [run for run in earlier if is_failed and tone_of(run[2]) is Tone.GOOD]
    return max(succeeded or earlier, default=(0, "", ""))[1:]
