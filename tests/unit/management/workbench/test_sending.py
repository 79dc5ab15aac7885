"""What is told about answers is counted right, and why there is none."""

import socket
import threading

import pytest

from logs.management.workbench.sending import (
    Answer,
    Failure,
    Message,
    WebhookClient,
    paced,
    percentile,
    reasons,
    summary,
)

MESSAGE = Message(label="delivery 1", body=b"{}", headers={})


def answer(http_status=201, *, reason="", milliseconds=1.0):
    return Answer(http_status=http_status, outcome="", reason=reason, milliseconds=milliseconds)


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [
        (range(1, 101), 50, 50),
        (range(1, 101), 95, 95),
        (range(1, 101), 99, 99),
        (range(1, 101), 100, 100),
        (range(1, 101), 0, 1),
        ([3, 1, 2], 50, 2),
        ([3, 1, 2], 99, 3),
        ([4, 3, 2, 1], 50, 2),
        ([7], 50, 7),
    ],
)
def test_a_percentile_is_a_value_that_occurred(values, percent, expected):
    assert percentile(values, percent) == expected


def test_there_is_no_percentile_of_nothing():
    with pytest.raises(ValueError, match="at least one value"):
        percentile([], 50)


@pytest.mark.parametrize(
    ("http_status", "accepted"),
    [(199, False), (200, True), (201, True), (299, True), (300, False), (401, False), (500, False), (None, False)],
)
def test_only_an_answer_of_success_is_accepted(http_status, accepted):
    assert answer(http_status).accepted is accepted


def test_sums_up_answers_by_status_and_answers_alone_by_time():
    answers = [
        *(answer(milliseconds=milliseconds) for milliseconds in range(1, 100)),
        answer(503, milliseconds=100),
        answer(None, milliseconds=10_000),
    ]
    assert summary(answers, 2.0) == [
        "101 sent in 2.0 s: 50.5 events per second",
        "answers: 99 x 201, 1 x 503, 1 x no answer",
        "milliseconds: p50 50.0, p95 95.0, p99 99.0, max 100.0",
    ]


def test_sums_up_in_no_time_at_all():
    assert summary([answer(None)], 0.0) == [
        "1 sent in 0.0 s: inf events per second",
        "answers: 1 x no answer",
    ]


def test_gives_reasons_by_how_often_they_came_and_none_for_what_was_accepted():
    answers = [answer(400, reason="odd"), *[answer(503, reason="busy")] * 2, answer()]
    assert reasons(answers) == ["2 x busy", "odd"]


def test_hands_on_every_document_in_order():
    documents = [{"id": str(position)} for position in range(5)]
    assert list(paced(documents, None)) == list(paced(documents, 1_000)) == documents


def answering(server, data):
    """Take one request, answer it so, and hang up."""
    taken, _ = server.accept()
    taken.recv(65_536)
    taken.sendall(data)
    taken.close()


@pytest.fixture
def server():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def lack(server, **options):
    return WebhookClient(f"http://127.0.0.1:{server.getsockname()[1]}/", **options).send(MESSAGE).failure


@pytest.mark.parametrize("data", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", b"SSH-2.0\r\n"])
def test_an_answer_may_break_off(server, data):
    thread = threading.Thread(target=answering, args=(server, data))
    thread.start()
    assert lack(server) is Failure.BROKEN_OFF
    thread.join()


def test_an_answer_may_come_too_late(server):
    assert lack(server, timeout_seconds=0.1) is Failure.TIMEOUT


@pytest.mark.parametrize("host", ["127.0.0.1", "no-such-host.invalid"])
def test_nobody_may_be_there(host, unused_port):
    assert WebhookClient(f"http://{host}:{unused_port}/").send(MESSAGE).failure is Failure.UNREACHABLE


def test_a_receiver_that_speaks_no_tls_was_not_reached(server):
    thread = threading.Thread(target=answering, args=(server, b"HTTP/1.1 400 Bad Request\r\n\r\n"))
    thread.start()
    assert WebhookClient(f"https://127.0.0.1:{server.getsockname()[1]}/").send(MESSAGE).failure is Failure.UNREACHABLE
    thread.join()


def test_an_answer_lacks_nothing(httpserver):
    httpserver.expect_request("/").respond_with_data("", 500)
    assert WebhookClient(httpserver.url_for("/")).send(MESSAGE).failure is None
