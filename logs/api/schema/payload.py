"""The body that CircleCI sends."""

from typing import Any

from logs.api.schema.examples import JOB, PING, WORKFLOW
from logs.circleci.payload import MAX_ID_LENGTH

# The log reads the documented parts of these blocks and ignores the rest: any value is accepted.
BLOCKS = {
    "happened_at": "When the event happened, in ISO 8601.",
    "webhook": "The webhook's id and name.",
    "project": "The project's id, name and slug.",
    "organization": "The organization's id and name.",
    "workflow": "The workflow's id, name, status, times and url.",
    "pipeline": "The pipeline's id, number, trigger, and the commit.",
    "job": "The job's id, name, number, status and times, in job events.",
}
BLANK = r"\s\x1c-\x1f"  # Regular expression dialects differ on the last four characters.
SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "An open object: any block but `id` and `type` may be missing or unknown.",
    "properties": {
        "id": {
            "type": "string",
            "maxLength": MAX_ID_LENGTH,
            "pattern": rf"^[^\x00]*[^\x00{BLANK}][^\x00]*$",
            "description": "Identifies the event; the same in each of its deliveries.",
        },
        "type": {
            "type": "string",
            "pattern": f"[^{BLANK}]",
            "description": "`workflow-completed`, `job-completed`, `ping`, or a new type.",
        },
        **{name: {"description": description} for name, description in BLOCKS.items()},
    },
    "required": ["id", "type"],
}
WEBHOOK = {
    "description": "At most `MAX_BODY_BYTES`; without a content type it is read as JSON.",
    "required": True,
    "content": {
        "application/json": {
            "schema": SCHEMA,
            "examples": {document["type"]: {"value": document} for document in (WORKFLOW, JOB, PING)},
        }
    },
}
