"""Interpret the text of the search box: an ID, a commit, a pipeline number, a project or words."""

import re

from logs.models import WorkflowEvent
from logs.models.events import UUID, project_named, spellings_of_id

_COMMIT = re.compile(r"[0-9a-f]{7,40}")
_PIPELINE = re.compile(r"#([0-9]{1,18})")
_IDS = ("workflow_id", "pipeline_id", "project_id")


def event_named(text: str) -> WorkflowEvent | None:
    """Return the event with this CircleCI ID; None if the log has no such event."""
    return WorkflowEvent.objects.filter(event_id__in=spellings_of_id(text)).first()


def filters_for(text: str) -> dict[str, str]:
    """Return the filters for a search text: an ID, commit or project that the log contains, or else words."""
    if pipeline := _PIPELINE.fullmatch(text):
        return {"pipeline": pipeline[1]}
    lower = text.lower()
    if UUID.fullmatch(lower):
        known = (column for column in _IDS if WorkflowEvent.objects.filter(**{column: lower}).exists())
        column = next(known, "workflow_id")
        return {"project" if column == "project_id" else column: lower}
    if _COMMIT.fullmatch(lower) and WorkflowEvent.objects.of_revision(lower).exists():
        return {"revision": lower}
    column, project = project_named(text)
    if column == "project_slug" and WorkflowEvent.objects.filter(project_slug=project).exists():
        return {"project": project}
    return {"q": text}
