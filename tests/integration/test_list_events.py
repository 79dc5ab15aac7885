"""What REST clients get from the list and from a single event."""

import base64
import re
from datetime import UTC, datetime, timedelta

import pytest

from logs.models import WorkflowEvent

pytestmark = pytest.mark.django_db

URL = "/fetch-webhooks-logs"
# fmt: off
NAMES = [
    "name", "project", "workflow", "status", "id", "event_type", "happened_at", "received_at", "project_slug",
    "project_id", "organization", "workflow_id", "job", "job_number", "branch", "tag", "revision", "commit_subject",
    "author", "pipeline_id", "pipeline_number", "trigger", "duration_seconds", "url", "verified",
]
# fmt: on
NEWEST = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)


def log_events(count, *, moments=None):
    """Log events whose ids count from the newest, 0; several share a moment where `moments` is less than `count`."""
    WorkflowEvent.objects.bulk_create(
        WorkflowEvent(
            event_id=f"event-{number}",
            received_at=NEWEST - timedelta(seconds=number * (moments or count) // count),
            verified=True,
        )
        for number in reversed(range(count))
    )


def links_of(answer):
    return {relation: url for url, relation in re.findall(r'<([^>]*)>; rel="(\w+)"', answer.headers["Link"])}


def ids_of(answer):
    assert answer.status_code == 200, answer.content
    return [event["id"] for event in answer.json()]


@pytest.mark.parametrize("path", [URL, f"{URL}/"])
def test_lists_flat_objects_in_a_bare_array(reader, deliver, workflow_document, path):
    document = workflow_document()
    deliver(document)
    answer = reader.get(path)
    assert answer.headers["Content-Type"] == "application/json"
    (event,) = answer.json()
    assert list(event) == NAMES
    assert event["id"] == document["id"]
    assert event["name"] == document["webhook"]["name"]
    assert event["project"] == document["project"]["name"]
    assert event["workflow"] == document["workflow"]["name"]
    assert event["status"] == document["workflow"]["status"]
    assert event["branch"] == document["pipeline"]["vcs"]["branch"]
    assert event["happened_at"] == document["happened_at"]
    assert event["verified"] is True
    # A workflow has no job: null, not an empty text.
    assert (event["job"], event["job_number"], event["tag"]) == (None, None, None)


def test_shows_an_event_whose_id_is_no_uuid(reader, deliver, workflow_document):
    deliver(workflow_document() | {"id": "a/b c%?#é"})
    assert reader.get(f"{URL}/a%2Fb%20c%25%3F%23%C3%A9").json()["id"] == "a/b c%?#é"


@pytest.mark.parametrize("event_id", ["unknown", "%00", "x" * 5_000, "%FF"])
def test_answers_404_for_an_unknown_event(reader, event_id):
    answer = reader.get(f"{URL}/{event_id}")
    assert answer.status_code == 404
    assert answer.json()["code"] == "not_found"


def test_an_empty_log_is_an_empty_array(reader):
    answer = reader.get(URL)
    assert answer.json() == []
    assert set(links_of(answer)) == {"first"}


def test_lists_the_newest_first_fifty_at_a_time(reader):
    log_events(60)
    assert ids_of(reader.get(URL)) == [f"event-{number}" for number in range(50)]


@pytest.mark.parametrize("moments", [23, 5, 1])
def test_following_next_gives_every_event_once_and_prev_leads_back(reader, moments):
    log_events(23, moments=moments)
    seen, pages, url = [], [], f"{URL}?limit=5"
    while url:
        answer = reader.get(url)
        pages.append(ids_of(answer))
        seen += pages[-1]
        links, last = links_of(answer), answer
        url = links.get("next")
    assert seen == list(WorkflowEvent.objects.newest_first().values_list("event_id", flat=True))
    assert len(set(seen)) == 23
    backwards, links = [], links_of(last)
    while "prev" in links:
        answer = reader.get(links["prev"])
        backwards.append(ids_of(answer))
        links = links_of(answer)
    assert backwards == pages[-2::-1]
    assert ids_of(reader.get(links["first"])) == pages[0]


def test_a_page_stays_where_it_is_while_events_arrive(reader):
    log_events(10)
    following = links_of(reader.get(f"{URL}?limit=4"))["next"]
    WorkflowEvent.objects.create(event_id="arrived-since", received_at=NEWEST + timedelta(seconds=1), verified=True)
    assert ids_of(reader.get(following)) == ["event-4", "event-5", "event-6", "event-7"]


@pytest.mark.parametrize("limit", ["0", "501", "-1", "ten", "1.5", "²", "9" * 5_000])
def test_refuses_a_limit_out_of_bounds(reader, limit):
    answer = reader.get(URL, {"limit": limit})
    assert answer.status_code == 400
    assert answer.json() == {"detail": "limit must be a whole number from 1 to 500.", "code": "invalid_limit"}


def test_accepts_the_largest_limit(reader):
    log_events(501)
    assert len(ids_of(reader.get(f"{URL}?limit=500"))) == 500


@pytest.mark.parametrize(
    "text",
    [
        "nonsense",
        "-received_at next 1777888800000000",
        "-received_at next 1777888800000000 99999999999999999999",
        "-received_at next 1777888800000000 -1",
        "-received_at sideways 1777888800000000 1",
        "-received_at next 999999999999999999 1",
        "-received_at next -999999999999999999 1",
        "-received_at next 1e3 1",
        "received_at next 1777888800000000 1",
        "next 1777888800000000 1",
    ],
)
def test_refuses_a_cursor_that_is_none_of_ours(reader, text):
    answer = reader.get(URL, {"cursor": base64.urlsafe_b64encode(text.encode()).decode()})
    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid_cursor"


@pytest.mark.parametrize("cursor", ["é", "====", "a", "\x00", "%%%"])
def test_refuses_a_cursor_that_is_no_base64(reader, cursor):
    assert reader.get(URL, {"cursor": cursor}).json()["code"] == "invalid_cursor"


def test_refuses_an_unknown_parameter_instead_of_answering_another_question(reader):
    answer = reader.get(f"{URL}?colour=red")
    assert answer.status_code == 400
    assert answer.json()["code"] == "unknown_parameter"
    assert answer.json()["detail"].startswith("Unknown parameter 'colour'; there are: author, bom, branch, cursor,")


@pytest.mark.parametrize(
    "query", ["limit=5&limit=6", "branch=main&branch=main", "limit=", "branch=", "status=&status=failed", "status="]
)
def test_refuses_a_parameter_that_is_empty_or_stands_twice(reader, query):
    answer = reader.get(f"{URL}?{query}")
    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid_parameter"
    assert answer.json()["detail"].startswith(query.partition("=")[0])


def test_asks_strangers_to_authenticate(client):
    for path in (URL, f"{URL}/some-event"):
        answer = client.get(path)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith("Basic ")
        assert answer.json()["code"] == "not_authenticated"


def basic(username, password):
    return {"authorization": "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()}


def test_lets_http_basic_in_with_the_right_password_only(client, user_with):
    reader = user_with("view_workflowevent")
    reader.set_password("a good password")
    reader.save()
    assert client.get(URL, headers=basic("reader", "a good password")).status_code == 200
    assert client.get(URL, headers=basic("reader", "a bad password")).status_code == 401


@pytest.mark.parametrize("header", ["Basic", "Basic !", "Basic \x00", "Bearer x", "Basic " + "A" * 4_000])
def test_refuses_odd_credentials(client, header):
    assert client.get(URL, headers={"authorization": header}).status_code == 401


def test_a_setting_opens_reading_to_everybody(client, settings):
    settings.PUBLIC_READ = True
    assert client.get(URL).status_code == 200


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_the_list_is_read_only(reader, method):
    assert getattr(reader, method)(URL).status_code == 405


def test_a_page_costs_one_query_besides_the_session(reader, django_assert_num_queries):
    log_events(30)
    with django_assert_num_queries(5):  # session, user, two for permissions, events
        reader.get(URL)


def test_the_first_page_has_no_prev_and_the_last_no_next(reader):
    log_events(10)
    first = reader.get(f"{URL}?limit=5")
    assert set(links_of(first)) == {"first", "next"}
    last = reader.get(links_of(first)["next"])
    assert set(links_of(last)) == {"first", "prev"}
    assert set(links_of(reader.get(links_of(last)["prev"]))) == {"first", "next"}
    assert set(links_of(reader.get(f"{URL}?limit=10"))) == {"first"}


def test_a_cursor_behind_all_events_gives_an_empty_page(reader):
    log_events(4)
    last = links_of(reader.get(f"{URL}?limit=3"))["next"]
    WorkflowEvent.objects.all().delete()
    assert ids_of(reader.get(last)) == []
    assert set(links_of(reader.get(last))) == {"first", "prev"}
