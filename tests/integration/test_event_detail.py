"""One event, with its payload, its pipeline's other events and its deliveries."""

import json
import random
from datetime import UTC, datetime, timedelta

import pytest

from logs.circleci import samples
from logs.models import Delivery, WorkflowEvent

pytestmark = pytest.mark.django_db

URL = "/fetch-webhooks-logs"
ADDED = ["payload", "pipeline_events", "deliveries", "duplicates"]
NEWEST = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)


@pytest.fixture
def body_reader(user_with, client_of):
    """A client whose user may view events, deliveries and bodies."""
    return client_of(user_with("view_workflowevent", "view_delivery", "view_delivery_body", username="body-reader"))


def read(client, event_id):
    answer = client.get(f"{URL}/{event_id}")
    assert answer.status_code == 200, answer.content
    return answer.json()


def log_pipeline(count, pipeline_id="pipeline-1"):
    """Log so many events of a pipeline, whose ids count from the oldest, 0; two share each moment."""
    WorkflowEvent.objects.bulk_create(
        WorkflowEvent(
            event_id=f"event-{number}",
            pipeline_id=pipeline_id,
            received_at=NEWEST + timedelta(seconds=number // 2),
            verified=True,
        )
        for number in range(count)
    )


def test_is_the_object_of_the_list_and_what_belongs_to_it(body_reader, deliver, workflow_document):
    document = workflow_document()
    deliver(document)
    event = read(body_reader, document["id"])
    (listed,) = body_reader.get(URL).json()
    assert list(event) == [*listed, *ADDED]
    assert {name: event[name] for name in listed} == listed
    assert event["payload"] == document
    assert event["pipeline_events"] == []
    (delivery,) = body_reader.get("/deliveries").json()
    assert event["deliveries"] == [delivery]


def test_its_payload_is_null_without_the_permission_to_see_bodies(reader, deliver, workflow_document):
    document = workflow_document(author="Ada Lovelace")
    deliver(document)
    answer = reader.get(f"{URL}/{document['id']}")
    assert answer.json()["payload"] is None
    assert document["pipeline"]["vcs"]["commit"]["author"]["email"].encode() not in answer.content


def test_its_deliveries_are_null_without_the_permission_to_see_them(user_with, client_of, deliver, workflow_document):
    document = workflow_document()
    deliver(document)
    event = read(client_of(user_with("view_workflowevent", "view_delivery_body")), document["id"])
    assert event["deliveries"] is None
    assert event["payload"] == document


def test_its_payload_is_null_once_retention_has_removed_the_delivery(body_reader, deliver, workflow_document):
    document = workflow_document()
    deliver(document)
    Delivery.objects.all().delete()
    event = read(body_reader, document["id"])
    assert (event["payload"], event["deliveries"]) == (None, [])


def test_its_payload_is_null_where_the_kept_bytes_cannot_be_read_any_more(body_reader, deliver, workflow_document):
    document = workflow_document()
    deliver(document)
    Delivery.objects.update(body=b"{")
    assert read(body_reader, document["id"])["payload"] is None


@pytest.mark.parametrize("arrival", [[0, 1], [1, 0]])
def test_its_payload_is_the_newest_versions_in_whatever_order_they_arrived(
    body_reader, deliver, workflow_document, arrival
):
    versions = [
        workflow_document(status="canceled") | {"happened_at": f"2026-05-04T10:0{minute}:00Z"} for minute in range(2)
    ]
    for number in arrival:
        deliver(versions[number])
    deliver(versions[0])
    event = read(body_reader, versions[0]["id"])
    assert event["payload"] == versions[1]
    assert event["happened_at"] == "2026-05-04T10:01:00Z"
    assert len(event["deliveries"]) == 3


def test_tells_of_the_workflows_the_jobs_and_the_reruns_of_its_pipeline(reader, deliver):
    made = random.Random(1)
    documents = [
        samples.job_completed(random=made, job="test"),
        samples.job_completed(random=made, job="deploy"),
        samples.workflow_completed(random=made, status="failed"),
        samples.workflow_completed(random=made, status="success"),
    ]
    for document in documents:
        document["pipeline"]["id"] = "a-pipeline"
        deliver(document)
    deliver(samples.workflow_completed(random=made))
    failed = documents.pop(2)
    others = read(reader, failed["id"])["pipeline_events"]
    assert [(each["id"], each["job"], each["status"]) for each in others] == [
        (documents[0]["id"], "test", "success"),
        (documents[1]["id"], "deploy", "success"),
        (documents[2]["id"], None, "success"),
    ]
    listed = {event["id"]: event for event in reader.get(URL).json()}
    assert others == [listed[each["id"]] for each in others]


def test_an_event_without_a_pipeline_is_of_none_that_others_are_of(reader):
    log_pipeline(2, pipeline_id="")
    assert read(reader, "event-0")["pipeline_events"] == []


def test_tells_of_the_hundred_oldest_events_of_a_pipeline(reader):
    log_pipeline(103)
    expected = [f"event-{number}" for number in range(101) if number != 50]
    assert [each["id"] for each in read(reader, "event-50")["pipeline_events"]] == expected


def test_tells_of_the_hundred_newest_deliveries(body_reader, deliver, workflow_document):
    document = workflow_document()
    for _ in range(102):
        deliver(document)
    pks = list(Delivery.objects.order_by("-pk").values_list("pk", flat=True))
    assert [each["id"] for each in read(body_reader, document["id"])["deliveries"]] == pks[:100]


@pytest.mark.parametrize("count", [1, 30])
def test_costs_the_same_number_of_queries_however_much_belongs_to_it(
    body_reader, deliver, workflow_document, django_assert_num_queries, count
):
    document = workflow_document()
    document["pipeline"]["id"] = "pipeline-1"
    for _ in range(count):
        deliver(document)
    log_pipeline(count)
    # session, user, two for permissions, event, delivery with the payload, pipeline's events, deliveries
    with django_assert_num_queries(8):
        read(body_reader, document["id"])


def test_asks_for_no_body_that_it_may_not_show(reader, deliver, workflow_document, django_assert_num_queries):
    document = workflow_document()
    deliver(document)
    with django_assert_num_queries(6) as captured:  # session, user, two for permissions, event, pipeline's events
        read(reader, document["id"])
    assert not [query for query in captured.captured_queries if "logs_delivery" in query["sql"]]


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (r'"\ud800"', "?"),
        (r'"a \udc00 b \ud83d\ude00"', "a ? b \N{GRINNING FACE}"),
        ('"\\u0000 \\u202e \\u2028"', "\0 \u202e \u2028"),
        ("9" * 5_000, "9" * 5_000),
        ("-1e999", "-1e999"),
        ("1.5e308", 1.5e308),
        ("[" * 98 + "]" * 98, json.loads("[" * 98 + "]" * 98)),
    ],
)
@pytest.mark.parametrize("accept", ["application/json", "text/html"])
def test_shows_odd_values_in_a_payload(body_reader, deliver, written, shown, accept):
    body = f'{{"id": "odd", "type": "workflow-completed", "odd": {written}, "\\ud801": 1}}'
    assert deliver(body.encode()).status_code == 201
    answer = body_reader.get(f"{URL}/odd", headers={"accept": accept})
    assert answer.status_code == 200
    if accept == "application/json":
        assert answer.json()["payload"]["odd"] == shown


@pytest.mark.parametrize("query", ["colour=red", "limit=1", "cursor=x", "q=words", "FORMAT=json", "%00=1", "=1"])
def test_refuses_parameters(reader, query):
    log_pipeline(1)
    answer = reader.get(f"{URL}/event-0?{query}")
    assert answer.status_code == 400
    assert answer.json()["code"] == "unknown_parameter"
    assert answer.json()["detail"].endswith("there are: format.")


def test_an_unknown_event_is_a_404_to_those_who_may_read_only(client, reader):
    assert reader.get(f"{URL}/unknown").json() == {"detail": "Not found.", "code": "not_found"}
    assert client.get(f"{URL}/unknown").status_code == 401


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete", "options"])
def test_is_read_only(reader, method):
    log_pipeline(1)
    answer = getattr(reader, method)(f"{URL}/event-0")
    assert answer.status_code == 405
    assert answer.json()["code"] == "method_not_allowed"
