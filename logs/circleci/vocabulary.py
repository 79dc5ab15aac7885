"""CircleCI's vocabulary as tables: headers, event types, statuses, providers.

Unknown words are data, not errors: they are also stored, but shown without a colour.

Source: https://circleci.com/docs/reference/outbound-webhooks-reference/ (read 2026-08-20).
"""

from enum import StrEnum

SIGNATURE_HEADER = "circleci-signature"
EVENT_TYPE_HEADER = "circleci-event-type"
USER_AGENT = "CircleCI-Webhook/1.0"

# The request headers that a delivery stores. Others might contain a proxy's credentials.
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
    PING = "ping"  # Undocumented: the "Test Ping Event" button sends it.


# The first part of a project's slug. Payloads spell it out; CircleCI's API and app abbreviate some providers.
PROVIDERS = ("github", "bitbucket", "circleci")
PROVIDER_SPELLINGS = {"gh": "github", "bb": "bitbucket"} | {provider: provider for provider in PROVIDERS}

WORKFLOW_STATUSES = ("success", "failed", "error", "canceled", "unauthorized")
JOB_STATUSES = ("success", "failed", "canceled", "unauthorized")


class Tone(StrEnum):
    """The meaning of a status to the operator, shown by colour and icon."""

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
    tuple(status for status, each in STATUS_TONES.items() if each is tone) for tone in (Tone.GOOD, Tone.BAD)
)
FINISHED_STATUSES = GOOD_STATUSES + BAD_STATUSES


def tone_of(status: str) -> Tone:
    """Return the tone of a status; UNKNOWN for a status that CircleCI has not documented."""
    return STATUS_TONES.get(status, Tone.UNKNOWN)
