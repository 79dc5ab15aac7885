"""The context of a pipeline's page."""

from typing import Any

from django.utils.translation import gettext as _

from logs.admin.events.run import run_context
from logs.admin.pipelines.sentence import sentence_of
from logs.models import WorkflowEvent
from logs.reading.pipelines import read_neighbours

WORKFLOWS_PATH = "/workflows/"


def pipeline_context(event: WorkflowEvent) -> dict[str, Any]:
    """Return the context of the page of an event's pipeline."""
    context = run_context(event)
    about = context["pipeline"].about
    return context | {
        "title": _title(about),
        "about": about,
        "sentence": sentence_of(context["pipeline"]),
        "neighbours": read_neighbours(about),
        # A workflow's URL begins with the URL of its pipeline.
        "pipeline_url": about.url.partition(WORKFLOWS_PATH)[0] if WORKFLOWS_PATH in about.url else "",
    }


def _title(event: WorkflowEvent) -> str:
    number = "" if event.pipeline_number is None else f"#{event.pipeline_number}"
    return " ".join(filter(None, [_("Pipeline"), number, event.project and f"· {event.project}"]))
