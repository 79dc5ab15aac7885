"""Example requests and responses; their values come from the code that sends, reads and shows such values."""

from base64 import b64encode
from dataclasses import asdict
from datetime import timedelta
from random import Random
from types import SimpleNamespace

from logs.api.renderers import CSVRenderer, JSONLinesRenderer
from logs.api.serializers.log import AttemptSerializer, DeliverySerializer, WorkflowEventSerializer
from logs.api.serializers.standings import ChangeSerializer, StandingSerializer
from logs.circleci import samples
from logs.circleci.payload import read_event
from logs.circleci.vocabulary import Tone
from logs.feeds.cctray import cctray_of
from logs.ingest.answers import ANSWERS
from logs.models import Attempt, ChangeKind, Delivery, Outcome, Standing, StateChange, WorkflowEvent
from logs.reading.stream.cursors import encode_cursor

SECRET = "ABCD1234"  # noqa: S105 - only for examples
ARRIVED = samples.REFERENCE_TIME + timedelta(seconds=2)
DELIVERY_ID = 7
CHANGE_ID = 3

# Requests from CircleCI.
WORKFLOW = samples.workflow_completed(random=Random(1), status="failed")  # noqa: S311 - not secret
JOB = samples.job_completed(random=Random(2), host=samples.Host.GITLAB)  # noqa: S311
PING = samples.ping(random=Random(3))  # noqa: S311
SIGNED_BODY = samples.encode(PING)

# The rows that the log stores for them.
_body = samples.encode(WORKFLOW)
_event = WorkflowEvent(**asdict(read_event(_body)), received_at=ARRIVED, verified=True)
_status, _message = ANSWERS[Outcome.LOGGED]
_delivery = Delivery(
    pk=DELIVERY_ID,
    received_at=ARRIVED,
    judged_at=ARRIVED,
    outcome=Outcome.LOGGED,
    webhook=samples.WEBHOOK_NAME,
    verified=True,
    headers=samples.headers(_body, WORKFLOW, SECRET),
    client_address="192.0.2.17",
    event=_event,
    response_status=_status,
    response_message=_message,
    response_seconds=0.004,
    request_id="5c1d0a3be7f94e2c8d6b7a9f0e1c2d3b",
)
_branch = {name: getattr(_event, name) for name in ("project_slug", "project", "workflow", "branch", "pipeline_number")}
_ended = _event.stopped_at or ARRIVED
_change = StateChange(
    **_branch,
    pk=CHANGE_ID,
    kind=ChangeKind.BROKE,
    event=_event,
    revision=_event.revision,
    author=_event.author,
    subject=_event.commit_subject,
    happened_at=_ended,
    noted_at=ARRIVED + timedelta(seconds=1),
    failures=1,
)
_standing = Standing(
    **_branch,
    project_id=_event.project_id,
    tone=Tone.BAD,
    last=_event,
    stopped_at=_event.stopped_at,
    last_good_at=_ended - timedelta(hours=3),
    broken_since=_event,
    broken_at=_ended,
    failures=1,
    last_run_at=ARRIVED,
)
EVENT = WorkflowEventSerializer(_event).data
CHANGE = ChangeSerializer(_change).data
STANDING = StandingSerializer(_standing).data | {"default_branch": True}
DELIVERY = DeliverySerializer(_delivery).data | {"secret_position": 0}
EVENT_DETAIL = EVENT | {"payload": WORKFLOW, "pipeline_events": [], "deliveries": [DELIVERY], "duplicates": 0}
DELIVERY_DETAIL = DELIVERY | {
    "headers": _delivery.headers,
    "attempts": [AttemptSerializer(Attempt(attempted_at=ARRIVED, outcome=Outcome.LOGGED)).data],
}
STREAM = {
    "deliveries": [
        DELIVERY
        | {
            "event": EVENT,
            "cursor": encode_cursor(DELIVERY_ID),
            "headers": _delivery.headers,
            "body_base64": b64encode(_body).decode(),
        }
    ],
    "cursor": encode_cursor(DELIVERY_ID),
}
CCTRAY = cctray_of(
    [SimpleNamespace(**vars(_standing), last__status=_event.status, last__url=_event.url)],
    "https://ci-log.example.org/",
)
RECEIPT = {"message": _message, "id": EVENT["id"], "outcome": "logged"}
REPLAY = {
    "id": DELIVERY_ID,
    "before": "unverified",
    "outcome": "logged",
    "reason": None,
    "fixed": True,
    "event": EVENT["id"],
}


def as_csv(row: dict[str, object]) -> str:
    """Return an object as CSV with its header line."""
    return "".join(CSVRenderer().lines([row], list(row)))


def as_json_lines(row: dict[str, object]) -> str:
    """Return an object as a JSON line."""
    return "".join(JSONLinesRenderer().lines([row], list(row)))
