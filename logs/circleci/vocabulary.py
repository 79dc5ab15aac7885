"""CircleCI's words as tables: headers, event types, statuses.

Words that are missing here are data, not errors: everything is stored, only the known is coloured.

Source: https://circleci.com/docs/reference/outbound-webhooks-reference/ (read 2026-08-20).
"""

from enum import StrEnum

SIGNATURE_HEADER = "circleci-signature"
EVENT_TYPE_HEADER = "circleci-event-type"
USER_AGENT = "CircleCI-Webhook/1.0"

# What a delivery keeps of its request's headers. Anything else might hold credentials of a proxy.
KEPT_HEADERS = (
    "content-type",
    "content-length",
    "content-encoding",
    "user-agent",
    "accept-encoding",
    EVENT_TYPE_HEADER,
    SIGNATURE_HEADER,
)


class EventType(StrEnum):
    """The values of a payload's ``type``."""

    WORKFLOW_COMPLETED = "workflow-completed"
    JOB_COMPLETED = "job-completed"
    PING = "ping"  # Undocumented: the button "Test Ping Event" sends it.


WORKFLOW_STATUSES = ("success", "failed", "error", "canceled", "unauthorized")
JOB_STATUSES = ("success", "failed", "canceled", "unauthorized")


class Tone(StrEnum):
    """What a status means to the person on duty, for colours and icons."""

    GOOD = "good"
    BAD = "bad"
    STOPPED = "stopped"
    WAITING = "waiting"
    UNKNOWN = "unknown"


STATUS_TONES = {
    "success": Tone.GOOD,
    "failed": Tone.BAD,
    "error": Tone.BAD,
    "failing": Tone.BAD,
    "infrastructure_fail": Tone.BAD,
    "timedout": Tone.BAD,
    "terminated-unknown": Tone.BAD,
    "unauthorized": Tone.BAD,
    "canceled": Tone.STOPPED,
    "not_run": Tone.STOPPED,
    "retried": Tone.STOPPED,
    "on_hold": Tone.WAITING,
}


GOOD_STATUSES, BAD_STATUSES = (
    tuple(status for status, its_tone in STATUS_TONES.items() if its_tone is tone) for tone in (Tone.GOOD, Tone.BAD)
)


def tone_of(status: str) -> Tone:
    """Return what a status means; a word that CircleCI has not documented is UNKNOWN."""
    return STATUS_TONES.get(status, Tone.UNKNOWN)
