"""The operations: each endpoint's purpose, its responses, and the links from its responses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiResponse

from logs.api.receiving import ReceiptSerializer
from logs.api.schema import examples, insight_examples
from logs.api.serializers import insights, log, standings
from logs.circleci.vocabulary import EVENT_TYPE_HEADER, SIGNATURE_HEADER

JSON, CSV, JSON_LINES = "application/json", "text/csv", "application/x-ndjson"
BYTES, XML = "application/octet-stream", "application/xml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """The parts of an endpoint's description that its code does not provide."""

    id: str
    tag: str
    summary: str
    details: str = ""
    answers: Mapping[Any, OpenApiResponse]  # By status and media type.
    headers: Sequence[str] = ()  # Of these responses.
    links: Mapping[str, Any] = field(default_factory=dict)  # From these responses to other operations.


def _answer(content: Any, description: str, example: Any) -> OpenApiResponse:
    return OpenApiResponse(content, description, [OpenApiExample("example", example)])


def _list(serializer: type, example: dict[str, Any]) -> dict[Any, OpenApiResponse]:
    """Return the responses of a list endpoint, in all three formats."""
    description = "A page as a bare array; in CSV and JSON lines without `limit`, all rows from the cursor on."
    return {
        (200, JSON): _answer(serializer(many=True), description, example),
        (200, CSV): _answer(OpenApiTypes.STR, description, examples.as_csv(example)),
        (200, JSON_LINES): _answer(OpenApiTypes.STR, description, examples.as_json_lines(example)),
    }


def _insights(id: str, summary: str, details: str, serializer: type, example: Any) -> Operation:  # noqa: A002 - as in Operation
    """Return the operation for one of the endpoints for insights."""
    return Operation(
        id=id,
        tag="insights",
        summary=summary,
        details=details,
        answers={(200, JSON): _answer(serializer, "The figures.", example)},
        headers=["ETag"],
    )


def _link(operation_id: str, description: str, **values: str) -> dict[str, Any]:
    return {"operationId": operation_id, "description": description, "parameters": values}


def _receiving(**more: str) -> Operation:
    """Return the operation for one of the receiving endpoint's two URLs."""
    return Operation(
        tag="receiving",
        answers={
            (201, JSON): _answer(ReceiptSerializer, "Logged and committed.", examples.RECEIPT),
            (200, JSON): _answer(
                ReceiptSerializer,
                "Accepted, but not a new event: a duplicate, a newer version, a ping, or too old for the log.",
                examples.RECEIPT | {"message": "Webhook Event was already logged", "outcome": "duplicate"},
            ),
        },
        links={"event": _link("event", "The logged event.", event_id="$response.body#/id")},
        **more,
    )


OF_DELIVERY = {
    "body": _link("delivery_body", "The delivery's bytes.", id="$response.body#/id"),
    "replay": _link("replay_delivery", "Judge the delivery again.", id="$response.body#/id"),
}

OPERATIONS: dict[str, Operation] = {
    "/log-circleci-webhook": _receiving(
        id="receive",
        summary="Receive a webhook",
        details="CircleCI sends its events here. Any configured secret may have signed them.",
    ),
    "/log-circleci-webhook/{webhook}": _receiving(
        id="receive_by_name",
        summary="Receive a webhook at its own URL",
        details="Only this webhook's secrets are accepted; a webhook without secrets needs no signature.",
    ),
    "/fetch-webhooks-logs": Operation(
        id="events",
        tag="events",
        summary="List events",
        details="The events that match all given filters, newest first. To read all of them, follow `next` in `Link`.",
        answers=_list(log.WorkflowEventSerializer, examples.EVENT),
        headers=["Link", "ETag", "Content-Disposition"],
        links={"event": _link("event", "A listed event.", event_id="$response.body#/0/id")},
    ),
    "/fetch-webhooks-logs/{event_id}": Operation(
        id="event",
        tag="events",
        summary="Show an event",
        details="An event with its payload, its pipeline's other events, and its deliveries.",
        answers={
            (200, JSON): _answer(log.EventDetailSerializer, "The event.", examples.EVENT_DETAIL),
        },
        headers=["ETag"],
        links={
            "deliveries": _link("deliveries", "The event's deliveries.", event="$response.body#/id"),
            "pipeline": _link("events", "Events of its pipeline.", pipeline_id="$response.body#/pipeline_id"),
        },
    ),
    "/deliveries": Operation(
        id="deliveries",
        tag="deliveries",
        summary="List deliveries",
        details="The requests to the receiving endpoint, refused or not, newest first.",
        answers=_list(log.DeliverySerializer, examples.DELIVERY),
        headers=["Link", "ETag", "Content-Disposition"],
        links={"delivery": _link("delivery", "A listed delivery.", id="$response.body#/0/id")},
    ),
    "/deliveries/stream": Operation(
        id="delivery_stream",
        tag="deliveries",
        summary="Wait for deliveries",
        details=(
            "The deliveries after a cursor, with their bytes, in the order they were stored, each exactly once. If "
            "there are none, the request waits for new ones. A response with `Retry-After` did not wait to the end, "
            "for example because too many clients are waiting: retry after that time."
        ),
        answers={
            (200, JSON): _answer(log.StreamSerializer, "The deliveries; often none.", examples.STREAM),
        },
        headers=["ETag"],
        links={"delivery": _link("delivery", "A listed delivery.", id="$response.body#/deliveries/0/id")},
    ),
    "/deliveries/{id}": Operation(
        id="delivery",
        tag="deliveries",
        summary="Show a delivery",
        details="A delivery with its headers and every verdict on it.",
        answers={
            (200, JSON): _answer(log.DeliveryDetailSerializer, "The delivery.", examples.DELIVERY_DETAIL),
        },
        headers=["ETag"],
        links=OF_DELIVERY,
    ),
    "/deliveries/{id}/body": Operation(
        id="delivery_body",
        tag="deliveries",
        summary="Fetch a delivery's bytes",
        details="The bytes as they arrived, with their signature, which can be verified again.",
        answers={
            (200, BYTES): _answer(OpenApiTypes.BINARY, "The bytes.", examples.SIGNED_BODY.decode()),
        },
        headers=["ETag", "Content-Disposition", SIGNATURE_HEADER, EVENT_TYPE_HEADER],
    ),
    "/deliveries/{id}/replay": Operation(
        id="replay_delivery",
        tag="deliveries",
        summary="Replay a delivery",
        details="Judge it again by its original bytes under the current settings, and log its event if it is accepted.",
        answers={
            (200, JSON): _answer(log.ReplaySerializer, "The change.", examples.REPLAY),
        },
        links={"delivery": _link("delivery", "The delivery with its verdicts.", id="$response.body#/id")},
    ),
    "/api/changes": Operation(
        id="changes",
        tag="standings",
        summary="List changes",
        details="The workflows that broke or were fixed on a branch, newest change first.",
        answers=_list(standings.ChangeSerializer, examples.CHANGE),
        headers=["Link", "ETag", "Content-Disposition"],
        links={"event": _link("event", "The run of a listed change.", event_id="$response.body#/0/event")},
    ),
    "/api/standings": Operation(
        id="standings",
        tag="standings",
        summary="List standings",
        details="The state of each workflow on each branch, the one with the newest run first.",
        answers=_list(standings.StandingSerializer, examples.STANDING),
        headers=["Link", "ETag", "Content-Disposition"],
        links={"last": _link("event", "The deciding run of a listed standing.", event_id="$response.body#/0/last")},
    ),
    "/cc.xml": Operation(
        id="cctray",
        tag="standings",
        summary="Show branches to build monitors",
        details="The newest 500 standings in the format cctray. Monitors that cannot sign in use a feed.",
        answers={(200, XML): _answer(OpenApiTypes.STR, "The branches.", examples.CCTRAY)},
        headers=["ETag"],
    ),
    "/api/insights/workflows": _insights(
        "insights_workflows",
        "Compare workflows",
        "The figures of all workflows that ran in the window, from hourly sums. With `branch`, they are exact, and "
        "come from the newest 5,000 runs on the branch.",
        insights.WorkflowsSerializer,
        insight_examples.WORKFLOWS,
    ),
    "/api/insights/jobs": _insights(
        "insights_jobs",
        "Compare jobs",
        "The exact figures of the jobs of a workflow's newest 1,000 runs. Needs `project` and `workflow`.",
        insights.JobsSerializer,
        insight_examples.JOBS,
    ),
    "/api/insights/timeseries": _insights(
        "insights_timeseries",
        "Show a workflow over time",
        "A point for each hour or day of the window. Needs `project` and `workflow`.",
        insights.SeriesSerializer,
        insight_examples.SERIES,
    ),
    "/api/insights/recoveries": _insights(
        "insights_recoveries",
        "List recoveries",
        "The failed runs of each workflow and branch, and the run that recovered; the newest failures first.",
        insights.RecoveriesSerializer,
        insight_examples.RECOVERIES,
    ),
    "/api/insights/flaky-jobs": _insights(
        "insights_flaky_jobs",
        "List flaky jobs",
        "The jobs and workflows that both failed and succeeded on a commit in the last two weeks.",
        insights.FlakyJobsSerializer,
        insight_examples.FLAKY_JOBS,
    ),
    "/api/insights/pipelines/{pipeline_id}": _insights(
        "insights_pipeline",
        "Judge a pipeline",
        "The verdict on a pipeline: of each workflow, the run that ended last decides.",
        insights.PipelineSerializer,
        insight_examples.PIPELINE,
    ),
}
