"""Examples, made by the code whose input and output they show."""

from base64 import b64encode
from dataclasses import asdict
from datetime import timedelta
from random import Random

from logs.api.renderers import CSVRenderer, JSONLinesRenderer
from logs.api.serializers import AttemptSerializer, DeliverySerializer, WorkflowEventSerializer
from logs.circleci import samples
from logs.circleci.payload import read_event
from logs.circleci.signature import sign
from logs.circleci.vocabulary import SIGNATURE_HEADER
from logs.models import Attempt, Delivery, Outcome, WorkflowEvent
from logs.reading.stream.cursors import encode_cursor

SECRET = "ABCD1234"  # noqa: S105 - of the examples only
ARRIVED = samples.REFERENCE_MOMENT + timedelta(seconds=2)
DELIVERY_ID = 7

# What CircleCI sends.
WORKFLOW = samples.workflow_completed(random=Random(1), status="failed")  # noqa: S311 - made up, not secret
JOB = samples.job_completed(random=Random(2), host=samples.Host.GITLAB)  # noqa: S311
PING = samples.ping(random=Random(3))  # noqa: S311
SIGNED_BODY = samples.encode(PING)

SIGNATURE = f"""\
CircleCI signs each delivery with its webhook's secret token: `{SIGNATURE_HEADER}` holds `v1=` and the HMAC-SHA256 of
the raw body in lower-case hexadecimal digits. The header is a comma-separated list; entries of versions other than `v1`
are ignored. The signature covers the bytes as sent: a body that was parsed and serialized again has another signature.

For example, the secret `{SECRET}` and the body

    {SIGNED_BODY.decode()}

without a trailing line feed give

    {SIGNATURE_HEADER}: {sign(SIGNED_BODY, SECRET)}

`printf %s "$BODY" | openssl dgst -sha256 -hmac {SECRET}` computes the same digest. A webhook that is configured without
a secret needs no signature, at its own URL only."""

# What the log makes of it.
_body = samples.encode(WORKFLOW)
_event = WorkflowEvent(**asdict(read_event(_body)), received_at=ARRIVED, verified=True)
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
)
EVENT = WorkflowEventSerializer(_event).data
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
RECEIPT = {"message": "Webhook Event successfully logged", "id": EVENT["id"], "outcome": "logged"}
REPLAY = {
    "id": DELIVERY_ID,
    "before": "unverified",
    "outcome": "logged",
    "reason": None,
    "mended": True,
    "event": EVENT["id"],
}


def as_csv(row: dict[str, object]) -> str:
    """Return an object as CSV, under its line of names."""
    return "".join(CSVRenderer().lines([row], list(row)))


def as_json_lines(row: dict[str, object]) -> str:
    """Return an object as a line of JSON."""
    return "".join(JSONLinesRenderer().lines([row], list(row)))
