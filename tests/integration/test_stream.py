"""Waiting for deliveries by REST: in order, none left out, none twice, and never at the receiver's expense."""

import asyncio
import base64
import threading
import time
from datetime import timedelta
from random import Random
from unittest.mock import Mock
from urllib.parse import urlencode

import pytest
from django.db import OperationalError, connection, connections
from django.utils import timezone

from logs.api.serializers.log import StreamedDeliverySerializer, WorkflowEventSerializer
from logs.api.views import stream as stream_view
from logs.circleci import samples
from logs.circleci.signature import verify
from logs.http import readers
from logs.models import Delivery, Outcome
from logs.reading.stream import cursors as places_of_stream
from logs.reading.stream import deliveries as stream
from tests.conftest import SECRET
from tests.integration.on_loop import Exchange, answers

pytestmark = pytest.mark.django_db

URL = "/deliveries/stream"
ALL_WORDS = "view_delivery", "view_delivery_body", "view_workflowevent"


@pytest.fixture
def follower(user_with, client_of):
    """A client that may follow everything."""
    return client_of(user_with(*ALL_WORDS))


def keep(count, *, age=timedelta(hours=1), **columns):
    """Keep so many deliveries of an age, and return their ids."""
    moment = timezone.now() - age
    usual = {"outcome": Outcome.LOGGED, "verified": True, "plausible": True, "body": b"{}", "headers": {}}
    rows = [Delivery(received_at=moment, judged_at=moment, **(usual | columns)) for _ in range(count)]
    return [delivery.pk for delivery in Delivery.objects.bulk_create(rows)]


def ask(client, after="start", **parameters):
    answer = client.get(URL, {"wait": 0, "after": after} | parameters)
    assert answer.status_code == 200, answer.content
    return answer.json()


def ids_of(batch):
    return [delivery["id"] for delivery in batch["deliveries"]]


def follow(client, **parameters):
    """Read on until nothing comes, and return the ids of each answer."""
    after, answers = "start", []
    while True:
        batch = ask(client, after, **parameters)
        if batch["cursor"] == after:
            return answers
        after = batch["cursor"]
        answers.append(ids_of(batch))


# What it hands out.


@pytest.mark.parametrize("path", [URL, f"{URL}/"])
def test_hands_out_the_bytes_and_headers_that_verify_again(follower, deliver, workflow_document, path):
    body = samples.encode(workflow_document(status="failed"))
    deliver(body)
    (delivery,) = follower.get(path, {"after": "start", "wait": 0}).json()["deliveries"]
    assert base64.b64decode(delivery["body_base64"]) == body
    assert verify(body, delivery["headers"]["circleci-signature"], [SECRET]) == 0
    assert delivery["event"]["status"] == "failed"
    assert delivery["outcome"] == "logged"


def test_an_event_is_null_for_who_may_not_see_events(user_with, client_of, deliver, workflow_document):
    deliver(workflow_document())
    client = client_of(user_with("view_delivery", "view_delivery_body"))
    (delivery,) = ask(client)["deliveries"]
    assert delivery["event"] is None


def test_goes_through_all_deliveries_in_their_order_and_each_once(follower):
    ids = keep(7)
    assert follow(follower, limit=3) == [ids[:3], ids[3:6], ids[6:]]


def test_each_delivery_tells_where_to_read_on_behind_it(follower):
    ids = keep(3)
    first = ask(follower)["deliveries"][0]
    assert ids_of(ask(follower, first["cursor"])) == ids[1:]


def test_begins_with_what_comes_next_unless_told_otherwise(follower):
    keep(2)
    batch = follower.get(URL, {"wait": 0}).json()
    assert batch["deliveries"] == []
    assert ask(follower, "now") == batch
    later = keep(1)
    assert ids_of(ask(follower, batch["cursor"])) == later


def test_an_empty_log_has_a_beginning(follower):
    cursor = ask(follower, "now")["cursor"]
    later = keep(2)
    assert ids_of(ask(follower, cursor)) == later


def test_a_look_costs_the_same_however_many_it_hands_out(
    follower, deliver, workflow_document, django_assert_num_queries
):
    keep(1)
    cursor = ask(follower, "now")["cursor"]
    for seed in range(3):
        deliver(workflow_document(seed))
    # The session, the user, two for permissions; the cursor, the keys, the lengths of the bodies, the deliveries.
    with django_assert_num_queries(8):
        assert len(ids_of(ask(follower, cursor))) == 3


# Filters.


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("project", "orchard"),
        ("project", "github/acme/orchard"),
        ("workflow", "build-and-test"),
        ("status", "failed,error"),
        ("event_type", "workflow-completed"),
        ("branch", "main"),
        ("author", "Wilma Quince"),
    ],
)
def test_chooses_by_the_event(follower, deliver, workflow_document, ping_document, name, value):
    deliver(workflow_document(1, status="failed", project="orchard", branch="main", author="Wilma Quince"))
    deliver(ping_document)
    assert [each["outcome"] for each in ask(follower, **{name: value})["deliveries"]] == ["logged"]
    assert ids_of(ask(follower, **{name: "another"})) == []


def test_chooses_by_job_and_tag(follower, deliver):
    deliver(samples.job_completed(random=Random(1), job="lint", host=samples.Host.GITLAB, tag="v1"))
    deliver(samples.job_completed(random=Random(2), job="test"))
    for parameters in ({"job": "lint"}, {"tag": "v1"}):
        assert [each["event"]["job"] for each in ask(follower, **parameters)["deliveries"]] == ["lint"]


def test_chooses_by_the_filters_of_the_list(follower):
    wanted = keep(1, outcome=Outcome.PING)
    keep(1, outcome=Outcome.LOGGED)
    assert ids_of(ask(follower, outcome="ping")) == wanted


def test_moves_on_past_what_the_filters_leave_out(follower, monkeypatch):
    monkeypatch.setattr(stream, "MAX_SCANNED", 2)
    keep(5, outcome=Outcome.PING)
    wanted = keep(1)
    assert follow(follower, outcome="logged") == [[], [], wanted]


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"after": "yesterday"}, "invalid_cursor"),
        ({"after": "c3RyZWFt"}, "invalid_cursor"),
        ({"after": "c3RyZWFtIDk5OTk5OTk5OTk5OTk5OTk5OTk"}, "invalid_cursor"),
        ({"after": "ä"}, "invalid_cursor"),
        ({"wait": "26"}, "invalid_parameter"),
        ({"wait": "-1"}, "invalid_parameter"),
        ({"wait": "²"}, "invalid_parameter"),
        ({"limit": "0"}, "invalid_parameter"),
        ({"limit": "101"}, "invalid_parameter"),
        ({"outcome": "nice"}, "invalid_parameter"),
        ({"colour": "red"}, "unknown_parameter"),
    ],
)
def test_refuses_what_it_cannot_understand(follower, parameters, code):
    answer = follower.get(URL, {"wait": 0} | parameters)
    assert (answer.status_code, answer.json()["code"]) == (400, code)


# Where to begin.


def test_begins_with_what_has_arrived_since_a_moment(follower):
    keep(2, age=timedelta(hours=30))
    recent = keep(2, age=timedelta(hours=3))
    for moment in ("24h", (timezone.now() - timedelta(hours=24)).isoformat()):
        assert ids_of(ask(follower, moment)) == recent
    assert ids_of(ask(follower, "1h")) == []


def test_what_a_slow_body_was_kept_behind_is_not_passed_over(follower):
    first = keep(1, age=timedelta(minutes=9))
    slow = keep(1, age=timedelta(minutes=10))
    assert ids_of(ask(follower, "11m")) == first + slow


def test_a_delivery_has_its_fields_in_the_order_of_the_schema(follower):
    keep(1)
    (delivery,) = ask(follower)["deliveries"]
    assert list(delivery) == StreamedDeliverySerializer.Meta.fields
    assert list(delivery["event"] or WorkflowEventSerializer.Meta.fields) == WorkflowEventSerializer.Meta.fields


def test_a_cursor_behind_the_end_is_refused_with_what_to_do(follower):
    keep(1)
    end = places_of_stream.newest_key()
    assert ids_of(ask(follower, places_of_stream.encode_cursor(end))) == []
    answer = follower.get(URL, {"wait": 0, "after": places_of_stream.encode_cursor(end + 1)})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_cursor")
    assert "restored from a backup" in answer.json()["detail"]
    assert "continue from start, from now" in answer.json()["detail"]


def test_a_cursor_holds_when_retention_has_removed_its_delivery_and_all_others(follower):
    keep(2)
    cursor = ask(follower, "now")["cursor"]
    Delivery.objects.all().delete()
    assert ask(follower, cursor) == {"deliveries": [], "cursor": cursor}


# How much.


def test_an_answer_holds_so_many_bytes_or_one_delivery(follower, monkeypatch):
    monkeypatch.setattr(stream, "MAX_BODIES_BYTES", 10)
    ids = [*keep(3, body=b"1234"), *keep(1, body=b"longer than ten"), *keep(1, body=b"1")]
    assert follow(follower) == [ids[:2], ids[2:3], ids[3:4], ids[4:]]
    assert stream.MAX_BODIES_BYTES == 10


# No gap.


class Late:
    """A delivery whose transaction has taken its key and is not committed; another connection's."""

    def __init__(self):
        self.connection = connections.create_connection("default")
        self.connection.inc_thread_sharing()
        self.connection.set_autocommit(False)
        with self.connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO logs_delivery (received_at, judged_at, outcome, reason, webhook, verified, "
                "webhook_slug, plausible, headers, body) "
                "VALUES (now(), now(), 'logged', '', '', true, '', true, '{}', '') RETURNING id",
            )
            (self.key,) = cursor.fetchone()

    def commit(self):
        self.connection.commit()
        self.connection.close()

    def give_up(self):
        self.connection.rollback()
        self.connection.close()


@pytest.fixture
def open_transactions(transactional_db):
    """Leave out what cannot happen on SQLite, which has one writer at a time."""
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has one writer at a time")


@pytest.mark.parametrize("age", [timedelta(0), timedelta(days=1)])
def test_a_lower_key_that_is_committed_later_is_not_missed(open_transactions, follower, age):
    """Nor if the higher one's request began long before: its body may have come in slowly."""
    keep(1)
    cursor = ask(follower, "now")["cursor"]
    (before,), late, (behind,) = keep(1), Late(), keep(1, age=age)
    batch = ask(follower, cursor)
    assert ids_of(batch) == [before]
    assert ids_of(ask(follower, batch["cursor"])) == []
    late.commit()
    assert ids_of(ask(follower, batch["cursor"])) == [late.key, behind]


def test_what_is_committed_during_a_look_is_not_missed(open_transactions, follower, monkeypatch):
    cursor = ask(follower, "now")["cursor"]
    late, (behind,) = Late(), keep(1)
    monkeypatch.setattr("logs.reading.stream.settling.time.sleep", lambda _: late.commit())
    assert ids_of(ask(follower, cursor)) == [late.key, behind]


def test_a_key_that_nobody_will_use_holds_up_nothing(open_transactions, follower):
    cursor = ask(follower, "now")["cursor"]
    Late().give_up()
    behind = keep(1)
    assert ids_of(ask(follower, cursor)) == behind


def test_what_retention_has_removed_holds_up_nothing(follower):
    ids = keep(5)
    Delivery.objects.filter(pk__in=ids[1:3]).delete()
    assert follow(follower) == [[ids[0], *ids[3:]]]


def test_the_present_is_behind_what_was_being_written_when_it_was_asked_for(open_transactions, follower):
    late, _ = Late(), keep(1)
    threading.Timer(0.3, late.commit).start()
    batch = ask(follower, "now")
    assert Delivery.objects.filter(pk=late.key).exists()
    assert ids_of(ask(follower, batch["cursor"])) == []


def test_the_present_is_not_told_while_somebody_writes_for_too_long(open_transactions, follower, monkeypatch):
    monkeypatch.setattr(places_of_stream, "WRITING_SECONDS", 0.1)
    late = Late()
    answer = follower.get(URL, {"wait": 0, "after": "now"})
    late.give_up()
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "10")


# Waiting, which happens on the event loop.


def waiting(client, kind=Exchange, **parameters):
    """A signed-in client's request to the event loop."""
    headers = {"cookie": f"sessionid={client.cookies['sessionid'].value}"}
    return kind("GET", URL, headers=headers, query=urlencode(parameters))


@pytest.fixture
def polls(transactional_db, monkeypatch):
    """The polls of a waiting request, which follow one another quickly; before the second, a delivery arrives."""
    monkeypatch.setattr(readers, "POLL_SECONDS", 0.05)
    poll, polls = stream_view.Wait.poll, []

    def count(self):
        polls.append(self)
        if len(polls) == 2:
            keep(1)
        return poll(self)

    monkeypatch.setattr(stream_view.Wait, "poll", count)
    return polls


@pytest.fixture
def places(transactional_db, build_application, monkeypatch):
    """Let this many clients wait."""

    def let_wait(count):
        monkeypatch.setattr(readers, "MAX_WAITING", count)
        build_application()

    return let_wait


class Timed:
    """A request that is sent after some seconds; `seconds` is how long its response takes."""

    def __init__(self, exchange, *, after=0.0):
        self.exchange, self.after = exchange, after

    async def answer(self):
        await asyncio.sleep(self.after)
        started = time.monotonic()
        answer = await self.exchange.answer()
        self.seconds = time.monotonic() - started
        return answer


def test_waits_until_there_is_something(follower, polls):
    (answer,) = answers(waiting(follower))
    assert len(ids_of(answer.json())) == 1
    assert len(polls) == 2
    assert "retry-after" not in answer.headers


def test_waits_for_what_the_filters_want_and_moves_on_past_the_rest(follower, polls):
    (answer,) = answers(waiting(follower, outcome="ping", wait=1))
    assert answer.json() == {"deliveries": [], "cursor": places_of_stream.encode_cursor(places_of_stream.newest_key())}
    assert len(polls) > 2
    assert "retry-after" not in answer.headers


def test_moves_on_past_what_the_filters_leave_out_while_it_waits(follower, polls, monkeypatch):
    monkeypatch.setattr(stream, "MAX_SCANNED", 2)
    poll = stream_view.Wait.poll

    def keep_before_the_first(self):
        if not polls:
            keep(5, outcome=Outcome.PING)
        return poll(self)

    monkeypatch.setattr(stream_view.Wait, "poll", keep_before_the_first)
    (answer,) = answers(waiting(follower, outcome="logged", wait=2))
    assert len(ids_of(answer.json())) == 1
    assert len(polls) >= 3


@pytest.mark.django_db(transaction=True)
def test_answers_with_nothing_when_nothing_has_come(follower):
    (answer,) = answers(request := Timed(waiting(follower, wait=1)))
    assert answer.json()["deliveries"] == []
    assert "retry-after" not in answer.headers
    assert 1 <= request.seconds < 3


def test_ends_when_the_server_does(follower, polls, monkeypatch):
    monkeypatch.setattr(readers, "stopping", threading.Event())
    threading.Timer(0.2, readers.stopping.set).start()
    (answer,) = answers(request := Timed(waiting(follower, outcome="ping")))
    assert answer.json()["deliveries"] == []
    assert 0.1 <= request.seconds < 3


def test_who_finds_no_place_is_asked_to_come_again(follower, places):
    places(1)
    first, second = Timed(waiting(follower, wait=1)), Timed(waiting(follower), after=0.3)
    patient, hurried = answers(first, second)
    assert second.seconds < 3
    assert "retry-after" not in patient.headers
    assert (hurried.status_code, hurried.json()["deliveries"]) == (200, [])
    assert 3 <= int(hurried.headers["retry-after"]) <= 10


def test_a_server_that_cannot_wait_asks_everybody_to_come_again(follower):
    started = time.monotonic()
    answer = follower.get(URL)
    assert time.monotonic() - started < 1
    assert (answer.status_code, answer.json()["deliveries"]) == (200, [])
    assert 3 <= int(answer.headers["Retry-After"]) <= 10
    assert "Retry-After" not in follower.get(URL, {"wait": 0}).headers


@pytest.mark.django_db(transaction=True)
def test_waiting_takes_no_thread(follower, settings, build_application):
    settings.WEB_THREADS = 2
    build_application()
    crowd = [Timed(waiting(follower, wait=3)) for _ in range(30)]
    reader = Timed(waiting(follower, wait=0), after=0.7)
    *patient, quick = answers(*crowd, reader)
    assert (quick.status_code, reader.seconds < 1.5) == (200, True)
    assert all(request.seconds >= 3 for request in crowd)
    assert not [answer for answer in patient if "retry-after" in answer.headers]


def failing_second(error):
    """A poll that succeeds for the request itself and fails while it waits."""
    nothing = stream.Batch(deliveries=[], end=0, is_last=True)
    return Mock(side_effect=[nothing, error])


class Leaving(Exchange):
    """A client that leaves once it has sent its request."""

    async def receive(self):
        return self._messages.pop(0) if self._messages else {"type": "http.disconnect"}


@pytest.mark.parametrize("end", ["a response", "an error", "no client"])
def test_a_place_is_given_back(follower, places, polls, monkeypatch, end):
    places(1)
    if end == "an error":
        with monkeypatch.context() as broken:
            broken.setattr(stream, "poll", failing_second(ZeroDivisionError()))
            (answer,) = answers(waiting(follower))
        assert (answer.status_code, answer.json()["code"]) == (500, "error")
    elif end == "no client":
        answers(request := Timed(waiting(follower, kind=Leaving, outcome="ping")))
        assert request.seconds < 3
    else:
        answers(waiting(follower))
    (answer,) = answers(request := Timed(waiting(follower, outcome="ping", wait=1)))
    assert "retry-after" not in answer.headers
    assert request.seconds >= 1


def test_a_database_that_fails_during_the_wait_is_no_error_of_the_request(follower, polls, monkeypatch):
    monkeypatch.setattr(stream, "poll", failing_second(OperationalError("the database is away")))
    (answer,) = answers(waiting(follower))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")


@pytest.mark.django_db(transaction=True)
def test_who_has_something_to_read_waits_half_a_second_for_more(follower):
    """Otherwise all of a crowd would come back at once while deliveries come quickly."""
    keep(1)
    thread = threading.Timer(0.2, keep_elsewhere)
    thread.start()
    (answer,) = answers(request := Timed(waiting(follower, after="start")))
    thread.join()
    assert len(ids_of(answer.json())) == 2
    assert 0.5 <= request.seconds < 3
    assert "retry-after" not in answer.headers


def keep_elsewhere():
    """Keep a delivery in another thread."""
    try:
        keep(1)
    finally:
        connection.close()


def test_who_has_something_to_read_needs_no_place_but_would_find_none_for_the_next(follower, places):
    keep(2)
    for count, limit, told in ((1, 50, False), (0, 50, True), (0, 1, False)):
        places(count)
        (answer,) = answers(waiting(follower, after="start", limit=limit))
        assert ids_of(answer.json())
        assert ("retry-after" in answer.headers) is told
