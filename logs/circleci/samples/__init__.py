"""Sample payloads from an invented organisation, for tests and for trying out an installation.

Everything is derived from a ``random.Random``: the same seed gives the same bytes.
"""

from logs.circleci.samples.documents import job_completed, job_event_id, ping, workflow_completed, workflow_event_id
from logs.circleci.samples.mix import random_event
from logs.circleci.samples.run import REFERENCE_TIME, WEBHOOK_NAME, Host
from logs.circleci.samples.wire import encode, headers

__all__ = [
    "REFERENCE_TIME",
    "WEBHOOK_NAME",
    "Host",
    "encode",
    "headers",
    "job_completed",
    "job_event_id",
    "ping",
    "random_event",
    "workflow_completed",
    "workflow_event_id",
]
